"""Snapshots: written, read back, anonymised; what somebody else may have put into one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from plumb.doctor import diagnose, document, read
from plumb.doctor.anonymise import anonymised
from plumb.doctor.checks import bridges
from plumb.errors import Invalid, NotFound
from plumb.frozen import replace
from plumb.kernel.diagnosis import machine
from plumb.kernel.netns import snapshot as kernel_state
from plumb.model.diagnosis.finding import Finding, Grade
from plumb.model.diagnosis.machine_state import MachineState
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    FlowState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.net.targets import TargetGrammar
from plumb.model.netns_state import Link, Listener, Neighbour
from plumb.model.observations import Netns
from tests.doctor import faults
from tests.labs import Lab
from tests.programs import running
from tests.waiting import until


@pytest.fixture(scope="module")
def scene() -> Iterator[Lab]:
    """The lab of the faults."""
    with faults.scene() as lab:
        yield lab


QUIET = (
    "plumb network create -o com.docker.network.bridge.enable_icc=false quiet",
    "plumb run -d --name q1 --network quiet",
    "plumb run -d --name q2 --network quiet",
)


@pytest.fixture(scope="module")
def taken(scene: Lab) -> Snapshot:
    """A snapshot of it and of a network without icc, of a moment in which all is well."""
    for line in QUIET:
        faults.shell(scene, line)
    assert faults.until(scene, lambda found: not found) == []
    with scene.host() as host:
        return read.read(host)


def ids(snapshot: Snapshot) -> list[str]:
    """The findings' ids."""
    return [each.id for each in diagnose.diagnose(snapshot)]


def set_to(snapshot: Snapshot, **values: str) -> Snapshot:
    """A snapshot with other values of the host's sysctls."""
    settings = {**dict(snapshot.host.settings), **values}
    return replace(snapshot, host=replace(snapshot.host, settings=tuple(settings.items())))


def test_what_is_written_is_read_back(taken: Snapshot) -> None:
    """A friend's host is diagnosed as if one sat there."""
    assert document.read(document.written(taken).encode(), "it") == taken


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"host": 1}',
        '{"host": {"name": 1}}',
        '{"host": {"name": "host", "settings": [["a"]]}}',
        '{"host": {"name": "host", "links": "abc"}}',
        '{"host": {"name": "host"}, "format": 1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    """In one line, whatever it is."""
    with pytest.raises(Invalid, match="is no snapshot"):
        document.read(text.encode(), "it")


def test_no_escape_sequence_reaches_the_terminal() -> None:
    """A name that would clear the screen is printed as what it is."""
    bad = Snapshot(NamespaceState("host", resolv="nameserver \x1b[2J"))

    assert "\x1b" not in document.read(document.written(bad).encode(), "it").host.resolv


def test_the_command_saves_and_reads(scene: Lab, taken: Snapshot, tmp_path: Path) -> None:
    """`--save` and `--from`: the same findings, and exit status 2 for a problem."""
    file, fresh = tmp_path / "host.json", tmp_path / "fresh.json"
    bad = replace(taken, host=set_to(taken, **{"net/ipv4/ip_forward": "0"}).host)
    file.write_text(document.written(bad))

    ran = scene.plumb("doctor", "--from", str(file), "--json", status=2)

    assert [json.loads(line)["ID"] for line in ran.stdout.splitlines()] == ["ip-forward-off"]
    assert scene.plumb("doctor", "--save", str(fresh), status=0).stdout == ""
    assert fresh.stat().st_mode & 0o777 == 0o600
    assert "no problem found" in scene.plumb("doctor", "--from", str(fresh)).stdout


def test_anonymised_it_has_the_same_findings(scene: Lab, taken: Snapshot) -> None:
    """Names and addresses are others, and each fault is the same."""
    bad = set_to(taken, **{"net/ipv4/ip_forward": "0"})
    bad = replace(bad, host=replace(bad.host, routes=bad.host.routes[1:]))
    other = anonymised(bad)
    text = document.written(other)

    assert ids(other) == ids(bad)
    assert diagnose.diagnose(anonymised(taken)) == []
    for secret in ("web", "shop", "quiet", "172.20.0.2", "192.0.2.1"):
        assert f'"{secret}"' not in text
    macs = {link.mac for space in taken.spaces for link in space.links if link.kind == "veth"}
    assert not any(mac in text for mac in macs)


def test_nothing_is_changed_by_looking(scene: Lab) -> None:
    """Rules, sysctls, links, descriptors and mounts are as before."""
    faults.found(scene)  # libraries keep a socket of theirs from the first use on
    before = kernel_state.take()
    faults.found(scene)
    after = kernel_state.take()
    assert before == after


# -- faults that no test may inject into a kernel that it shares with others ---------------


def test_connection_tracking_that_is_full(taken: Snapshot) -> None:
    """It is one limit for all namespaces, so no lab may reach it."""
    full = set_to(
        taken, **{"net/netfilter/nf_conntrack_count": "99", "net/netfilter/nf_conntrack_max": "99"}
    )
    assert ids(full) == ["conntrack-full"]


def test_a_datagram_that_goes_to_a_container_that_is_gone(taken: Snapshot) -> None:
    """NAT decided at the flow's first packet."""
    gone = FlowState(ip_address("192.0.2.10"), 53, ip_address("172.20.0.77"), 53)
    assert ids(replace(taken, flows=(gone,))) == ["stale-flow"]


def test_two_networks_with_one_subnet(taken: Snapshot) -> None:
    """plumb refuses that; two engines do not know of each other."""
    shop, quiet = (next(net for net in taken.networks if net.name == name) for name in NAMES)
    both = replace(quiet, subnets=shop.subnets, masquerade=False)
    nets = tuple(both if net.id == quiet.id else net for net in taken.networks)
    assert ids(replace(taken, networks=nets)) == ["subnet-twice"]


NAMES = ("shop", "quiet")


def test_a_published_port_that_another_program_listens_at(taken: Snapshot) -> None:
    """Without a proxy nothing keeps the port from others."""
    nginx = Listener("tcp", ip_address("0.0.0.0"), 8080, who="nginx, pid 4711")
    host = replace(taken.host, listeners=(nginx,))
    assert ids(replace(taken, host=host)) == ["port-shadowed"]


def test_links_that_networkd_takes_for_its_own(
    scene: Lab, taken: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files by the links' indices are read where it runs in this namespace."""
    bridge = taken.host.link(taken.bridges[0].link)
    assert bridge is not None
    wild = "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/all.network\n"
    (tmp_path / str(bridge.index)).write_text(wild)
    (tmp_path / "1").write_text("ADMIN_STATE=unmanaged\n")
    monkeypatch.setattr(machine, "LINKS", str(tmp_path))
    assert machine.read().managed == ()
    program = shutil.copy("/bin/sleep", tmp_path / machine.NETWORKD)
    with running([program, "1000"]):
        until(lambda: machine.read().managed, "networkd runs")
        managed = machine.read().managed
    assert managed == ((bridge.index, "/etc/systemd/network/all.network"),)
    monkeypatch.setattr(bridges, "CHOSEN", re.compile(bridge.name))
    (found,) = diagnose.diagnose(replace(taken, machine=replace(taken.machine, managed=managed)))
    assert (found.id, found.grade) == ("networkd-manages", Grade.HINT)
    read = f"/run/systemd/netif/links/{bridge.index} ({bridge.name}): "
    assert found.read == (f"{read}/etc/systemd/network/all.network",)


@pytest.mark.parametrize(("name", "uplink"), [("br0", False), ("docker0", True)])
def test_a_bridge_that_networkd_may_own_is_no_fault(name: str, uplink: bool) -> None:
    """One with a name of somebody's, or with a link of the host's; its veth links are told."""
    host = Netns("host", "")
    bridge = Link(host, 2, name, kind="bridge")
    veth = Link(host, 3, "veth1", kind="veth", master=2)
    links = (bridge, veth, *([Link(host, 4, "eth0", master=2)] * uplink))
    net = NetworkState("n", "n", "docker", "bridge", name, bridge_in_host=True)
    box = ContainerState("web", "docker", "web", (EndState("n"),))
    space = NamespaceState("host", links)
    every = MachineState(managed=tuple((each.index, "") for each in links))
    (found,) = bridges.managed(Snapshot(space, (), (box,), (net,), machine=every))
    assert found.read == ("/run/systemd/netif/links/3 (veth1): configured",)
    assert "Name=veth*" in str(found.remedies[0])


def test_modules_of_another_kernel(taken: Snapshot) -> None:
    """An upgrade without a reboot."""
    machine = MachineState("6.1.0", ("6.1.1",))
    assert ids(replace(taken, machine=machine)) == ["modules-of-another-kernel"]


def test_a_neighbour_table_that_is_full(taken: Snapshot) -> None:
    """It is one for all namespaces as well."""
    entry = Neighbour("eth0", ip_address("192.0.2.77"), "02:00:00:00:00:77", "STALE")
    host = replace(set_to(taken, **{"net/ipv4/neigh/default/gc_thresh3": "1"}).host)
    assert ids(replace(taken, host=replace(host, neighbours=(entry,)))) == ["neighbours-full"]


def test_a_macvlan_network_on_wifi(taken: Snapshot) -> None:
    """An access point takes frames of one MAC address alone."""
    (shop,) = (net for net in taken.networks if net.name == "shop")
    uplink = next(link for link in taken.host.links if link.name == "eth0")
    lan = NetworkState("f" * 64, "lan", "docker", "macvlan", parent=uplink.name, on_lan=True)
    member = ContainerState("box", "docker", "web", (EndState(lan.id),))
    host = replace(taken.host, wireless=(uplink.name,))
    with_lan = replace(
        taken, host=host, networks=(shop, lan), containers=(*taken.containers, member)
    )
    assert "macvlan-wifi" in ids(with_lan)


def test_a_name_server_without_a_route_to_it(taken: Snapshot) -> None:
    """The container has its own servers, and no way out."""
    spaces = tuple(
        replace(one, resolv="nameserver 203.0.113.53\n", routes=one.routes[:0], rules=())
        if one.name == "q1"
        else one
        for one in taken.spaces
    )
    nets = tuple(replace(net, internal=net.name == "quiet") for net in taken.networks)
    assert "dns-no-route" in ids(replace(taken, spaces=spaces, networks=nets))


def test_a_port_that_127_0_0_1_does_not_lead_to(taken: Snapshot) -> None:
    """Docker without a proxy, and without route_localnet."""
    boxes = tuple(replace(box, engine="docker") for box in taken.containers)
    assert "no-localhost" in ids(
        replace(taken, containers=boxes, host=replace(taken.host, listeners=()))
    )


def test_a_default_route_without_a_gateway_is_an_l3_network_s(taken: Snapshot) -> None:
    """ipvlan in mode l3 has none; on a bridge network such a route leads nowhere."""
    web = next(one for one in taken.spaces if one.name == "web")
    (own,) = (link.name for link in web.links if link.name != "lo")
    routes = tuple(replace(one, via=None) if one.dst.prefixlen == 0 else one for one in web.routes)
    spaces = tuple(replace(one, routes=routes) if one is web else one for one in taken.spaces)
    assert own in {one.dev for one in routes}
    assert "wrong-gateway" in ids(replace(taken, spaces=spaces))
    nets = tuple(replace(net, driver="ipvlan", bridge_in_host=False) for net in taken.networks)
    assert "wrong-gateway" not in ids(replace(taken, spaces=spaces, networks=nets))


def test_rules_in_both_variants_of_iptables(taken: Snapshot) -> None:
    """Neither lists the other's."""
    chain = next(one for one in taken.host.chains if one.tool.startswith("iptables-"))
    tool = "iptables-legacy" if chain.tool == "iptables-nft" else "iptables-nft"
    other = ChainState(tool, "ip", "filter", "mine", (RuleState("-j RETURN"),))
    host = replace(taken.host, chains=(*taken.host.chains, other))
    assert "iptables-variants" in ids(replace(taken, host=host))


def test_what_could_not_be_read_is_a_warning(taken: Snapshot) -> None:
    """Green means looked at."""
    found = diagnose.diagnose(replace(taken, missing=("docker: no answer in time",)))
    assert [each.id for each in found] == ["not-read"]
    assert diagnose.status(found) == 1


# -- two ends ------------------------------------------------------------------------------


def between(snapshot: Snapshot, one: str, other: str) -> list[Finding]:
    """The findings between two ends."""
    return diagnose.between(snapshot, one, TargetGrammar("diagnose").read(other))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("web", "q1", ["no-common-network"]),
        ("q1", "q2", ["icc-off"]),
        ("db", "web:80", []),
        ("db", "web:81", ["nobody-listens"]),
        ("host", "web:80", []),
    ],
)
def test_two_ends(taken: Snapshot, one: str, other: str, expected: list[str]) -> None:
    """Reasons that are no faults by themselves are told where two ends are named."""
    assert [each.id for each in between(taken, one, other)] == expected


def test_an_unknown_end_is_said(taken: Snapshot) -> None:
    """In one line."""
    with pytest.raises(NotFound, match="no container nobody"):
        between(taken, "nobody", "web:80")


def test_ports_of_overlay_networks_that_the_host_drops(taken: Snapshot) -> None:
    """A rule that drops them is proof; a policy, or a rule for some senders, is none."""
    net = NetworkState("o" * 25, "mesh", "plumb", "overlay", multi_host=True)

    def with_rules(*rules: RuleState, policy: str = "accept") -> list[str]:
        chain = ChainState("iptables-nft", "ip", "filter", "INPUT", rules, "input", 0, policy)
        others = (each for each in taken.host.chains if each.name != "INPUT")
        host = replace(taken.host, chains=(*others, chain))
        return ids(replace(taken, host=host, networks=(*taken.networks, net)))

    tunnel = (("l4proto", ("udp",), False), ("dport", ("4789",), False))
    some = (*tunnel, ("saddr", ("10.0.0.0/8",), False))
    assert with_rules(RuleState("-p udp --dport 4789 -j DROP", tunnel, "drop")) == ["overlay-ports"]
    assert with_rules(RuleState("-s 10.0.0.0/8 -j DROP", some, "drop")) == []
    assert with_rules(policy="drop") == []
