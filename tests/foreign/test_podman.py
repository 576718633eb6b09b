"""Commands on the host of a real Podman: its containers as it tells itself, served or not."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from plumb.explain.known_rules import known
from plumb.foreign import read_host
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost
from plumb.kernel.foreign import processes
from plumb.kernel.netfilter.iptables_save import saved
from tests import forked, labs
from tests.foreign.podman import MISSING, Podman, podman
from tests.labs import sh
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
BOTH = ("sh", "-c", "httpd -h /www -p 81; exec httpd -f -h /www -p 80")
SERVED = ("httpd", "-f", "-h", "/www", "-p", "80")


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    """Podman with two networks.

    n1: web, published as 8080, and c2; n2, of both families: c2 as well, and far, published;
    podman, the default network: dflt. side shares web's namespace, inpod that of the pod p1, hosty
    the host's; nony has none but its own; idle does not run.
    """
    with podman() as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.21.0.0/24", "fd00:21::/64")
        made.run("web", "--network", "n1", "-p", "8080:80", command=SERVED)
        made.run("c2", "--network", "n1,n2", "--network-alias", "second")
        made.run("far", "--network", "n2", "-p", "9000-9001:80-81", command=BOTH)
        made.run("dflt", "-p", "127.0.0.1:8081:80", command=SERVED)
        made.run("side", "--network", "container:web")
        made.run("hosty", "--network", "host")
        made.run("nony", "--network", "none")
        infra = ("--infra-image", "busybox", "--infra-command", "sleep 1000000")
        made.podman("pod", "create", *infra, "--name", "p1", "--network", "n1", "-p", "8085:80")
        made.run("inpod", "--pod", "p1", command=SERVED)
        made.podman("create", "--name", "idle", "--network", "n1", "busybox", "sleep", "9")
        for name in ("web", "far", "dflt", "inpod"):
            made.listens(name, 80)
        yield made


@pytest.fixture(scope="module", params=["served", "not served"])
def host(request: pytest.FixtureRequest, engine: Podman) -> ForeignHost:
    """What plumb knows of that host, with Podman's API and without."""
    with engine.serving() if request.param == "served" else nullcontext():
        found = read_host.read()
    assert not found.missing
    assert bool(found.sources[0].version) == (request.param == "served")
    return found


@pytest.fixture(scope="module")
def told(engine: Podman) -> dict[str, Any]:
    """What Podman itself tells of its running containers, by name."""
    names = engine.podman("ps", "--format", "{{.Names}}").split()
    return {each["Name"]: each for each in engine.inspect(*names)}


def plumb(engine: Podman, *argv: str, status: int | None = 0) -> str:
    """What a command prints on that host."""
    ran = engine.lab.plumb(*argv, status=status)
    return ran.stdout + ran.stderr


def shares(document: Any) -> bool:
    """Whether a container is in another one's namespace."""
    return str(document["HostConfig"]["NetworkMode"]).startswith("container:")


def networks(document: Any) -> dict[str, Any]:
    """A container's endpoints, by network; on the host's network it has none."""
    found: dict[str, Any] = document["NetworkSettings"].get("Networks", {})
    return found


def named(host: ForeignHost, name: str) -> ForeignContainer:
    """A container by its name."""
    return next(each for each in host.containers if each.name == name)


def test_containers_have_podman_s_names_ids_and_processes(
    host: ForeignHost, told: dict[str, Any]
) -> None:
    """All of those that run, and no other."""
    found = {each.name: (each.member.box.id, each.pid) for each in host.containers}

    assert found == {name: (one["Id"], one["State"]["Pid"]) for name, one in told.items()}
    assert {each.source.engine for each in host.containers} == {Engine.PODMAN}


def test_namespaces_are_those_that_podman_shares_out(host: ForeignHost, engine: Podman) -> None:
    """One for each container, but for those that share one."""
    identities = {each.name: processes.identity(each.member.place.ns) for each in host.containers}
    for name, pid in engine.pids.items():
        assert identities[name] == processes.identity(processes.namespace_file(pid))
    infra = next(each.name for each in host.containers if each.name.endswith("-infra"))
    places = {each.name: each.member.place.name for each in host.containers}
    assert (places["side"], places["inpod"], places["hosty"]) == ("web", infra, "host")
    assert places["nony"] == "nony"


def test_addresses_are_podman_s(host: ForeignHost, told: dict[str, Any]) -> None:
    """Of both families, with the MAC address and the gateway, on each network."""
    for name, one in told.items():
        expected = {} if shares(one) else networks(one)
        found = {net.name: (end, net) for end, net in named(host, name).member.ends}
        assert set(found) == set(expected), name
        for network, (end, net) in found.items():
            there = expected[network]
            gateways = {str(pool.gateway) for pool in net.pools}
            assert str(end.ip) == f"{there['IPAddress']}/{there['IPPrefixLen']}"
            assert (str(end.ip6.ip) if end.ip6 else "") == there["GlobalIPv6Address"]
            assert end.mac == there["MacAddress"]
            assert {there["Gateway"], there["IPv6Gateway"]} - {""} == gateways


def test_published_ports_are_podman_s(host: ForeignHost, told: dict[str, Any]) -> None:
    """A port without an address is at all of them, of each family that the container has."""
    for name, one in told.items():
        expected = set()
        ends = networks(one).values()
        anywhere = ["0.0.0.0", *(["::"] if any(e["GlobalIPv6Address"] for e in ends) else [])]
        for port, bindings in () if shares(one) else one["NetworkSettings"]["Ports"].items():
            for each in bindings or ():
                for ip in [each["HostIp"]] if each["HostIp"] else anywhere:
                    expected.add((port, ip, int(each["HostPort"])))
        found = {
            (f"{port.port}/{port.protocol}", str(port.host_ip), port.host_port)
            for end, _ in named(host, name).member.ends
            for port in end.ports
        }
        assert found == expected, name


def test_networks_are_podman_s(host: ForeignHost, engine: Podman) -> None:
    """By name: id, driver, bridge, subnets and whether they have IPv6."""
    names = engine.podman("network", "ls", "--format", "{{.Name}}").split()
    told = json.loads(engine.podman("network", "inspect", *names))

    assert {
        each.network.name: (
            each.network.id,
            each.driver,
            each.network.link,
            {str(pool.subnet) for pool in each.network.pools},
            each.network.ipv6,
        )
        for each in host.networks
    } == {
        net["name"]: (
            net["id"],
            net["driver"],
            net["network_interface"],
            {each["subnet"] for each in net["subnets"]},
            net["ipv6_enabled"],
        )
        for net in told
    }


def test_a_container_that_does_not_run_is_known(host: ForeignHost, engine: Podman) -> None:
    """It has no namespace to send from."""
    assert [box.name for box, _ in host.stopped] == ["idle"]
    assert "container idle is not running; 'podman start idle'" in plumb(
        engine, "trace", "idle", "web", status=1
    )


def test_podman_s_aliases_are_known_where_it_is_served(engine: Podman) -> None:
    """Neither its files nor its processes have them."""
    with engine.serving():
        found = read_host.read()

    (one, _) = named(found, "c2").member.box.attachments
    assert "second" in (one.aliases or ())


def test_containers_are_named_in_a_story(engine: Podman) -> None:
    """In the question, and wherever a packet comes by."""
    story = plumb(engine, "trace", "c2", "web:80")

    assert "c2 → web:80   172.20.0.2:80/tcp" in story
    assert "web's port on n1" in story
    assert "web   eth0 in" in story
    assert "web → web:80" in plumb(engine, "trace", "side", "web:80")
    assert "host → web:80" in plumb(engine, "trace", "hosty", "web:80")


def test_a_published_port_is_followed_from_the_lan(engine: Podman) -> None:
    """By netavark's rules into the container, or the pod."""
    story = plumb(engine, "trace", engine.lab.lan, "host:8080")

    assert "is web's port 80/tcp, on n1" in story
    assert "web   eth0 in" in story
    assert "-infra's port 80/tcp, on n1" in plumb(engine, "trace", engine.lab.lan, "host:8085")


def test_a_published_port_of_both_families_is_followed(engine: Podman) -> None:
    """netavark forwards to the container's address of the same family."""
    assert "far's port 80/tcp, on n2" in plumb(
        engine, "trace", engine.lab.lan, f"[{labs.HOST_IP6}]:9000"
    )


def test_aardvark_answers_for_names(engine: Podman) -> None:
    """At the gateway of each network, as the container's resolv.conf has it."""
    answer = plumb(engine, "probe", "c2", "web/dns")
    assert re.search(r"web   by 172\.2[01]\.0\.1   172\.20\.0\.2", answer)
    assert "answered" in plumb(engine, "probe", "c2", "web:80")


def test_an_engine_s_socket_can_be_named(engine: Podman, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for Podman's own commands."""
    with engine.serving():
        monkeypatch.setattr(read_host, "PODMAN_SOCKET", "/nowhere")
        monkeypatch.setenv("CONTAINER_HOST", f"unix://{engine.socket}")
        assert read_host.read().sources[0].version


def test_statistics_and_pictures_have_podman_s_containers(engine: Podman) -> None:
    """At their links, and beside their ports."""
    rows = [json.loads(line) for line in plumb(engine, "stats", "--json", "web").splitlines()]
    assert [(row["Container"], row["Network"], row["Interface"]) for row in rows] == [
        ("web", "n1", "eth0")
    ]
    picture = json.loads(plumb(engine, "draw", "--json"))
    boxes = {box["name"]: box for box in picture["boxes"]}
    assert {"host", "web", "c2", "far", "dflt"} <= set(boxes)
    assert set(boxes["web"]["containers"]) == {"web", "side"}
    assert boxes["web"]["engine"] == "podman"


def test_published_ports_are_listed(engine: Podman) -> None:
    """Of one container, and of the host."""
    assert "80/tcp -> 0.0.0.0:8080" in plumb(engine, "port", "web")
    listed = plumb(engine, "network", "ports", "n2")
    assert "[::]:9001" in listed
    assert "8080" not in listed


def test_what_plumb_does_not_know_is_no_success(engine: Podman) -> None:
    """A check or a matrix that looked at nothing says so."""
    assert "9 containers of podman" in plumb(engine, "check")
    assert "not tried: 9 containers of podman" in plumb(engine, "matrix")


def test_a_clean_host_has_no_finding(engine: Podman) -> None:
    """Nor has the same with the service."""
    assert "no problem found" in plumb(engine, "doctor")
    with engine.serving():
        assert "no problem found" in plumb(engine, "doctor")


def test_each_rule_of_netavark_s_has_a_reason(engine: Podman) -> None:
    """In a sentence, with its owner."""
    rules = [
        (table, chain, spec)
        for tool in ("iptables", "ip6tables")
        for table, chains in saved(f"{tool}-save").items()
        for chain, (_, specs) in chains.items()
        for spec in specs
    ]

    assert len(rules) > 30
    for rule in rules:
        assert known(*rule).startswith("Podman: "), rule


def test_each_object_of_podman_s_is_explained(engine: Podman) -> None:
    """Links, chains, settings, namespaces, listeners, networks and containers."""
    port = next(line.split()[1] for line in sh("ip -o link show master podman1").splitlines())
    objects = {
        "podman1": "network n1",
        port.partition("@")[0]: "network n1",
        "NETAVARK_FORWARD": "podman network create",
        "NETAVARK-HOSTPORT-DNAT": "-p, --publish",
        "net.ipv4.conf.podman1.route_localnet": "Podman sets it",
        "n1": "driver bridge",
        "172.20.0.1": "network n1",
        "web": "8080 -> 80/tcp",
        "port 8080": "conmon",
        "port 53": "aardvark-dns",
    }
    for subject, words in objects.items():
        found = " ".join(plumb(engine, "explain", *subject.split()).split())
        assert words in found, f"{subject}: {found}"
        assert "not known" not in found, f"{subject}: {found}"


def test_networks_that_podman_does_not_part_are_not_called_so(engine: Podman) -> None:
    """Packets pass from one to another; names do not."""
    assert "answered" in plumb(engine, "trace", "far", "web:80")
    found = plumb(engine, "doctor", "far", "web:80", status=1)
    assert "(a hint): far does not know the name web" in found
    assert "problem" not in found.splitlines()[0]


def test_the_default_network_has_no_names(engine: Podman) -> None:
    """aardvark-dns does not serve it."""
    engine.run("plain")
    try:
        found = plumb(engine, "doctor", "plain", "dflt", status=1)
    finally:
        engine.podman("rm", "-f", "-t", "0", "plain")
    assert "plain does not know the name dflt: they are on the default network" in found


def test_a_name_server_that_was_killed_is_found(engine: Podman) -> None:
    """The remedy that is printed starts it again."""
    server = engine.aardvark
    os.kill(server, signal.SIGKILL)
    # Podman takes a server that nobody has waited for yet for a living one.
    until(lambda: not Path(f"/proc/{server}").exists(), "the first process has waited for it")
    found = plumb(engine, "doctor", status=2)
    assert "the name server of n1, aardvark-dns, does not run" in found
    for line in found.splitlines():  # one for each network
        if "try: podman" in line:
            engine.cli(line.partition("try: ")[2])
    until(
        lambda: "no problem found" in plumb(engine, "doctor", status=None),
        lambda: plumb(engine, "doctor", status=None),
        30,
    )


def test_podman_with_cni_s_plugins_is_known_by_their_results() -> None:
    """Its networks' files are theirs; each container is one, and Podman's."""
    with podman("cni") as other:
        other.network("n1", "172.20.0.0/24")
        other.run("web", "--network", "n1", "-p", "8080:80", command=SERVED)
        (one,) = read_host.read().containers
        with other.serving():
            (same,) = read_host.read().containers
    ((end, net),), ((served, _),) = one.member.ends, same.member.ends
    assert (one.name, one.source.engine) == ("web", Engine.PODMAN)
    assert (end.ip, end.mac) == (served.ip, served.mac)
    assert [port.host_port for port in end.ports] == [8080]
    assert (net.name, net.link) == ("n1", "cni-podman1")


def test_a_port_that_nobody_serves_is_no_success(engine: Podman) -> None:
    """conmon holds it, and the kernel answers."""
    sh("iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT")
    try:
        asked = plumb(engine, "probe", engine.lab.lan, f"{labs.HOST_IP}:8080", status=1)
    finally:
        engine.podman("network", "reload", "web")
    assert "holds the port, and takes no connection" in asked
    assert "answered" in plumb(engine, "probe", engine.lab.lan, f"{labs.HOST_IP}:8080")


OBSERVERS = (
    "trace c2 web:80",
    "trace host 127.0.0.1:8080",
    "trace --wait 0.5 c2 172.20.0.77:80",
    "probe c2 web:80",
    "probe host 127.0.0.1:8080",
    "matrix",
    "stats",
    "explain port 8080",
    "doctor",
    "draw",
    "network ports",
)
KILLED = ("trace --wait 20 c2 172.20.0.77:80", "doctor", "stats")


def test_commands_leave_the_host_as_it_was(engine: Podman) -> None:
    """Those that end, and those that are killed (SIGKILL), of host and containers."""
    spaces = {name: engine.netns(name) for name in ("web", "c2")}
    before = labs.state(spaces)
    for line in OBSERVERS:
        plumb(engine, *line.split(), status=None)
        assert labs.state(spaces) == before, line
    for line in KILLED:
        for seconds in (0.1, 0.5):
            _killed(engine, line, seconds)
        plumb(engine, "ps")
        assert labs.state(spaces) == before, line


def _killed(engine: Podman, line: str, seconds: float) -> None:
    """Kill a command after that time."""
    env = {**os.environ, "PLUMB_ROOT": str(engine.lab.root)}
    with Path(os.devnull).open("w") as nothing:
        pid = forked.start(line.split(), env, (nothing.fileno(), nothing.fileno()))
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
