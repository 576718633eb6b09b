"""`network export` and `network import`: what one host has, made on another."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plumb import Conflict, Host, Invalid, NotFound, Unsupported
from plumb.compose import normal_form
from plumb.compose.transfer import portable
from plumb.compose.transfer.described import Description, Present
from plumb.compose.transfer.importing import Import, Item
from plumb.compose.transfer.selection import selected
from plumb.frozen import replace
from plumb.kernel.system import System
from plumb.model.cnm import Sandbox
from tests.compose import project, up
from tests.compose.random_hosts import ODD, Maker
from tests.fake_cluster import FakeCluster, node
from tests.memory_host import MemoryHosts


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Host]:
    """Another host."""
    with MemoryHosts(tmp_path / "other") as hosts:
        yield hosts()


def exported(
    host: Host, *, chosen: bool = False, variables: bool = True, remarked: Sequence[str] = ()
) -> str:
    """What `network export` writes, with these remarks."""
    nets, boxes = tuple(host.networks()), tuple(host.containers())
    present = Present(nets, boxes, lambda ident: host.store.endpoints(sandbox=ident), host.settings)
    own = selected(present)
    described, remarks = Description(present, own.networks, own.containers, chosen).project()
    assert [*own.remarks, *remarks] == list(remarked)
    return portable.text(described, "yaml", variables=variables)


def imported(
    host: Host, folder: Path, text: str, *, force: bool = False, **given: str
) -> list[Item]:
    """What `network import` makes of a file, with these variables."""
    return Import(project(folder, text, **given), replace=force).carry_out(host)


# -- round trip ---------------------------------------------------------------


def intent(host: Host) -> list[Any]:
    """What was asked for, without ids and dates, nor IPv6 subnets, which are of the host's id."""
    names = {net.id: net.name for net in host.networks()}
    boxes = {box.id: box.name for box in host.containers()}
    nets = [
        replace(
            net,
            id="",
            created="",
            number=0,
            pools=tuple(pool for pool in net.pools if pool.given or pool.subnet.version == 4),
        )
        for net in host.networks()
        if not net.predefined
    ]
    return [*nets, *(_plain(box, names, boxes) for box in host.containers())]


def unlike(here: list[Any], there: list[Any]) -> list[str]:
    """Fields in which values are not the same."""
    assert [each.name for each in here] == [each.name for each in there]
    return [
        f"{one.name}.{each.name}: {getattr(one, each.name)} != {getattr(two, each.name)}"
        for one, two in zip(here, there, strict=True)
        for each in fields(one)
        if getattr(one, each.name) != getattr(two, each.name)
    ]


def _plain(box: Sandbox, names: dict[str, str], boxes: dict[str, str]) -> Sandbox:
    attachments = tuple(
        replace(wish, network=names.get(wish.network, wish.network), aliases=wish.aliases or ())
        for wish in box.attachments
    )
    chosen: dict[str, Any] = {} if box.owns_hostname or box.mode == "host" else {"hostname": ""}
    mode = f"container:{boxes[box.target]}" if box.target else box.mode
    return replace(
        box,
        id="",
        created="",
        started="",
        number=0,
        dns_udp=0,
        dns_tcp=0,
        mode=mode,
        attachments=attachments,
        **{"hostname": "" if box.target else box.hostname, **chosen},
    )


@pytest.mark.parametrize("seed", range(40))
def test_what_is_imported_is_what_was_exported(
    host: Host, other: Host, tmp_path: Path, seed: int
) -> None:
    """Networks and containers, and the file that the other host writes; once more is no change."""
    Maker(seed).make(host)
    text = exported(host)

    assert all(item.is_new for item in imported(other, tmp_path, text))

    assert unlike(intent(other), intent(host)) == []
    assert exported(other) == text
    assert not any(item.is_new for item in imported(other, tmp_path, text))
    assert not any(item.is_new for item in imported(host, tmp_path, text))
    assert not any(item.is_new for item in imported(host, tmp_path, exported(host, chosen=True)))


def test_config_read_again_is_the_same(tmp_path: Path) -> None:
    """A dollar sign is printed twice, and text that looks like a number is quoted."""
    odd = {f"L{at}": text for at, text in enumerate(ODD)}
    doubled = {key: text.replace("$", "$$") for key, text in odd.items()}
    read = project(tmp_path, f"services: {{web: {{labels: {json.dumps(doubled)}}}}}")
    for form in ("yaml", "json"):
        again = project(tmp_path, normal_form.text(normal_form.project(read), form))
        assert dict(again.services["web"].labels) == odd


# -- what a file looks like ---------------------------------------------------------------


def test_what_is_the_hosts_own_is_a_variable(host: Host, other: Host, tmp_path: Path) -> None:
    """With the value of the host that wrote the file; the reader of the file may set it."""
    binding = "com.docker.network.bridge.host_binding_ipv4"
    host.create_network("shop", options={binding: "192.0.2.7"})
    host.run("web", network="shop", publish=["192.0.2.3:8080:80", "127.0.0.1:8443:443"])
    text = exported(host)
    assert text.splitlines()[:3] == [
        "# Variables of what is another on another host:",
        "#   SHOP_BINDING_IP  host_binding_ipv4 of network shop; here 192.0.2.7",
        "#   WEB_HOST_IP      address that ports of web are published at; here 192.0.2.3",
    ]
    imported(other, tmp_path, text, SHOP_BINDING_IP="198.51.100.7", WEB_HOST_IP="198.51.100.3")
    assert dict(other.network("shop").options) == {binding: "198.51.100.7"}
    ports = [str(port.host_ip) for port in other.container("web").ports]
    assert ports == ["198.51.100.3", "127.0.0.1"]


def test_without_variables_it_is_as_on_this_host(host: Host) -> None:
    host.run("web", publish="192.0.2.3:8080:80")
    assert "host_ip: 192.0.2.3" in exported(host, variables=False)


def test_the_file_is_one_for_up_as_well(host: Host, other: Host, tmp_path: Path) -> None:
    """Networks and containers have the same names, addresses and commands as a project's."""
    host.create_network("shop", subnet="10.9.0.0/24")
    host.run("web", network="name=shop,ip=10.9.0.9", command=["serve", "$HOME"])
    up(other, project(tmp_path, exported(host)))
    assert other.container("web").argv == ("serve", "$HOME")
    (end,) = other.endpoints(other.container("web"))
    assert str(end.ip) == "10.9.0.9/24"


def test_flags_without_a_key_of_the_specification_are_plumbs(
    host: Host, other: Host, tmp_path: Path
) -> None:
    """They stand in x-plumb, which other programs pass over."""
    host.create("one", publish_all=True, isolate=True, auto_remove=True)
    imported(other, tmp_path, exported(host))
    box = other.container("one")
    assert (box.publish_all, box.isolate, box.read_only_host, box.auto_remove) == (True,) * 4


# -- what no compose file can say ---------------------------------------------------------------


def test_a_configuration_is_left_out(host: Host, other: Host, tmp_path: Path) -> None:
    """A network that has taken it over is written with its subnet, and made on another host."""
    host.create_network("conf", config_only=True, subnet="10.9.0.0/24")
    host.create_network("shop", config_from="conf")
    taken = (
        "network shop is written with what it has taken over from the configuration conf, "
        "not with --config-from"
    )
    text = exported(
        host,
        remarked=[
            "network conf is left out: a compose file has no configurations (--config-only)",
            taken,
        ],
    )
    assert [item.name for item in imported(other, tmp_path, text)] == ["shop"]
    assert str(other.network("shop").pools[0].subnet) == "10.9.0.0/24"


def test_a_container_without_a_network_is_left_out(host: Host, other: Host, tmp_path: Path) -> None:
    """An import would put it on the default network; so is one that shares its network stack."""
    host.create_network("shop")
    host.run("alone", network="shop")
    host.disconnect("shop", "alone")
    host.create("with", network="container:alone")
    host.create("early", network="later")
    left = "it is on no network, and a compose file would put it on the default one"
    text = exported(
        host,
        remarked=[
            f"container alone is left out: {left}",
            "network later, which container early asks for, is not there",
            f"container early is left out: {left}",
            "container with is left out: it shares the network stack of one that is",
        ],
    )
    assert [item.name for item in imported(other, tmp_path, text)] == ["shop"]


def test_those_that_share_a_network_stack_come_with_its_owner(host: Host) -> None:
    """Where networks are named."""
    net = host.create_network("shop")
    host.run("web", network="shop")
    host.run("probe", network="container:web")
    host.run("other")
    present = Present(
        tuple(host.networks()), tuple(host.containers()), lambda ident: (), host.settings
    )
    assert [box.name for box in selected(present, [net]).containers] == ["web", "probe"]


def test_what_is_no_text_is_left_out(host: Host, other: Host, tmp_path: Path) -> None:
    """A command line is bytes, which YAML cannot have; the container is named."""
    host.run("odd", command=["sleep", os.fsdecode(b"\xff")])
    host.create("with", network="container:odd")
    host.run("plain")
    text = exported(
        host,
        remarked=[
            "container odd is left out: what is no UTF-8 cannot be in a file: command",
            "container with is left out: it shares the network stack of one that is",
        ],
    )
    assert [item.name for item in imported(other, tmp_path, text)] == ["plain"]


def test_alike_names_have_a_variable_each(host: Host) -> None:
    """Else whoever gives the one another parent gives it to the other as well."""
    binding = {"com.docker.network.bridge.host_binding_ipv4": "192.0.2.7"}
    for name in ("a-b", "a_b"):
        host.create_network(name, options=binding)
    text = exported(host)
    assert "${A_B_BINDING_IP:-192.0.2.7}" in text
    assert "${A_B_BINDING_IP_2:-192.0.2.7}" in text


# -- what is there ---------------------------------------------------------------

SHOP = """
networks:
  shop: {name: shop, ipam: {config: [{subnet: 10.9.0.0/24}]}}
services:
  web: {container_name: web, networks: {shop: {ipv4_address: 10.9.0.9}}}
  db: {container_name: db, networks: [shop]}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "subnet: 10.9.0.0/24",
            "subnet: 10.9.0.0/24, gateway: 10.9.0.7",
            "network shop (ipam.10.9.0.0/24.gateway: nothing here, 10.9.0.7 in the file)",
        ),
        (
            "10.9.0.9}",
            "10.9.0.10}",
            "container web (networks.shop.ipv4_address: 10.9.0.9 here, 10.9.0.10 in the file)",
        ),
        (
            "name: shop,",
            "name: shop, internal: true,",
            "network shop (internal: nothing here, true in the file)",
        ),
        (
            "[shop]}",
            "[shop], privileged: true}",
            "container db (privileged: nothing here, true in the file)",
        ),
        ("container_name: db, networks: [shop]", "container_name: db", "container db (networks"),
    ],
)
def test_what_differs_is_named_and_nothing_changed(
    host: Host, tmp_path: Path, old: str, new: str, said: str
) -> None:
    """Not even what is missing is made."""
    imported(host, tmp_path, SHOP)
    more = "\n  more: {container_name: more, networks: [shop]}\n"
    before = intent(host)
    with pytest.raises(Conflict) as refused:
        imported(host, tmp_path, SHOP.replace(old, new) + more)
    assert said in str(refused.value)
    assert unlike(intent(host), before) == []


ORDINARY = {
    "the usual logging driver": "logging: {driver: json-file}",
    "its usual options": "logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}",
    "one option of it": "logging: {options: {max-size: 5m}}",
    "the driver local": "logging: {driver: local, options: {max-size: 20m}}",
    "a flag with another": "x-plumb: {isolate: true}",
    "the default network": "networks: [outer]",
    "the default network's mode": "network_mode: bridge",
    "no network": "network_mode: none",
    "capabilities": "cap_add: [cap_net_admin, NET_RAW]",
    "a health check": "healthcheck: {test: [CMD, 'true', a b], interval: 90s}",
    "a sysctl": "sysctls: [net.ipv4.ip_forward=0]",
    "a policy": "restart: on-failure",
    "ports": "ports: ['127.0.0.1:8080-8081:80-81', 53/udp]",
    "another's network stack": "network_mode: service:other",
    "several networks": "networks: {shop: {priority: 2, ipv6_address: 'FD00:9::0009'}, outer: }",
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_a_file_imported_twice_changes_nothing(host: Host, tmp_path: Path, kind: str) -> None:
    """However it spells what is usual, or what one flag brings along."""
    text = f"""
networks:
  outer: {{external: true, name: bridge}}
  shop:
    ipam: {{config: [{{subnet: 10.9.0.0/24, gateway: 10.9.0.1}}, {{subnet: 'FD00:9::/64'}}]}}
    driver_opts: {{com.docker.network.enable_ipv6: 'true', com.docker.network.internal: 'TRUE'}}
services:
  web: {{command: sleep 9, {ORDINARY[kind]}}}
  other: {{command: sleep 9, networks: [shop]}}
"""
    assert all(item.is_new for item in imported(host, tmp_path, text))
    again = imported(host, tmp_path, text)
    assert {item.name: item.differences for item in again if item.is_new} == {}


def test_values_of_the_environment_are_not_shown(host: Host, tmp_path: Path) -> None:
    """They may be passwords, and what is printed ends up in logs."""
    secret = "services: {web: {container_name: web, environment: {KEY: s3cret, OLD: s3cret}}}"
    imported(host, tmp_path, secret)
    with pytest.raises(Conflict) as refused:
        imported(host, tmp_path, secret.replace("KEY: s3cret, OLD", "KEY: f1le, NEW"))
    assert "s3cret" not in str(refused.value)
    assert "f1le" not in str(refused.value)
    assert "environment.KEY: another value in the file" in str(refused.value)
    assert "environment.NEW: in the file alone" in str(refused.value)
    assert "environment.OLD: here alone" in str(refused.value)


def test_replaced_are_what_differs_and_those_on_it(host: Host, tmp_path: Path) -> None:
    """A network takes its containers with it; what is as the file says stays."""
    imported(host, tmp_path, SHOP)
    kept = host.container("db").id
    imported(host, tmp_path, SHOP.replace("10.9.0.9}", "10.9.0.10}"), force=True)
    assert host.container("db").id == kept
    imported(host, tmp_path, SHOP.replace("shop, ipam", "shop, internal: true, ipam"), force=True)
    assert host.container("db").id != kept
    assert host.network("shop").internal


def test_a_network_with_somebody_else_on_it_is_not_replaced(host: Host, tmp_path: Path) -> None:
    imported(host, tmp_path, SHOP)
    host.run("guest", network="shop")
    with pytest.raises(Conflict, match="container guest, which is not in the file"):
        imported(host, tmp_path, SHOP.replace("10.9.0", "10.8.0"), force=True)


def test_what_a_project_owns_is_not_replaced(host: Host, tmp_path: Path) -> None:
    """Made anew it would be the project's no more; as the file says it stays."""
    up(host, project(tmp_path, SHOP, name="mine"))
    ident = host.container("db").id
    named = SHOP.replace("[shop]}", "[shop], privileged: true}")
    with pytest.raises(Conflict, match="anew, and belongs to the compose project mine"):
        imported(host, tmp_path, named, force=True)
    wider = SHOP.replace("shop, ipam", "shop, internal: true, ipam")
    with pytest.raises(Conflict, match="network shop is to be made anew, and belongs"):
        imported(host, tmp_path, wider, force=True)
    assert host.container("db").id == ident


def test_a_container_that_stopped_is_started(host: Host, tmp_path: Path) -> None:
    imported(host, tmp_path, SHOP)
    host.stop("db")
    assert not any(item.is_new for item in imported(host, tmp_path, SHOP))
    assert host.container("db").status == "running"


def test_a_job_that_is_done_is_not_done_again(host: Host, tmp_path: Path) -> None:
    """Unlike a container that somebody has stopped."""
    imported(host, tmp_path, SHOP)
    host.stop("db", exit_code=0)
    assert not any(item.started for item in imported(host, tmp_path, SHOP))
    assert host.container("db").status == "exited"


def test_a_services_name_is_known_on_its_networks(host: Host, tmp_path: Path) -> None:
    """Where its containers have another, as in files that were written for Compose."""
    imported(host, tmp_path, "services: {web: {scale: 2}}")
    boxes = [host.container(f"shop-web-{number}") for number in (1, 2)]
    assert [box.attachments[0].aliases for box in boxes] == [("web",)] * 2


def test_missing_parents_are_named_all_at_once(host: Host, tmp_path: Path) -> None:
    lan = "{{name: {0}, driver: macvlan, driver_opts: {{parent: {1}}}}}"
    text = f"networks:\n  a: {lan.format('a', 'up0')}\n  b-c: {lan.format('b', 'up1.7')}\n"
    with pytest.raises(NotFound, match=r"up0 of network a, up1.7 of network b") as refused:
        imported(host, tmp_path, text)
    assert "A_PARENT=… B_C_PARENT=…" in refused.value.hint


def test_a_predefined_network_is_not_passed_over(host: Host, tmp_path: Path) -> None:
    """What a file says of it would have no effect."""
    with pytest.raises(Invalid, match=r"compose.yaml:2: network bridge is predefined"):
        imported(host, tmp_path, "networks:\n  x: {name: bridge, internal: true}\n")


def test_what_an_import_does_not_wait_for_is_told(tmp_path: Path) -> None:
    """All is one operation, in which nothing is healthy yet."""
    text = """
services:
  web: {depends_on: {db: {condition: service_healthy}, log: {condition: service_started}}}
  db: {healthcheck: {test: 'true'}}
  log: {}
"""
    (remark,) = Import(project(tmp_path, text)).remarks()
    assert "web is started without waiting for db (service_healthy)" in remark


def test_a_network_of_the_cluster_elsewhere_is_compared(
    memory_host: MemoryHosts, tmp_path: Path
) -> None:
    """One that has no part on this host yet; made anew it would go from other hosts."""
    cluster = FakeCluster(node(ip_address("192.0.2.10")))
    text = """
networks:
  wide: {name: wide, driver: overlay, ipam: {config: [{subnet: 10.50.0.0/24}]}}
"""
    with memory_host(System(), cluster=cluster) as host:
        assert [item.is_new for item in imported(host, tmp_path, text)] == [True]
        assert [item.is_new for item in imported(host, tmp_path, text)] == [False]
        with pytest.raises(Unsupported, match="of the cluster differs from the file"):
            imported(host, tmp_path, text.replace("10.50", "10.51"), force=True)


def test_networks_are_described_once_for_all_containers(host: Host, tmp_path: Path) -> None:
    """A host is compared inside the operation's lock: many networks hold nobody up for each one."""
    text = "services:\n" + "".join(f"  c{at}: {{networks: [n0]}}\n" for at in range(40))

    def seconds(nets: int) -> float:
        ipam = "{{ipam: {{config: [{{subnet: 10.{0}.0.0/24}}]}}}}"
        listed = "".join(f"  n{at}: {ipam.format(at)}\n" for at in range(nets))
        wanted = project(tmp_path, f"{text}networks:\n{listed}")
        Import(wanted, start=False).carry_out(host)
        present = Present(
            tuple(host.networks()), tuple(host.containers()), lambda ident: (), host.settings
        )
        found = []
        for _ in range(3):
            begun = time.process_time()
            Import(wanted).compare(present)
            found.append(time.process_time() - begun)
        return min(found)

    few = seconds(5)
    assert seconds(80) < 8 * few  # one description for each container: 25
