"""What the kernel has counted: hints, where a host without the fault has none."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from plumb.doctor import diagnose, read
from plumb.doctor.checks.counters import direct
from plumb.frozen import replace
from plumb.kernel.diagnosis import machine
from plumb.model.diagnosis.machine_state import MachineState
from plumb.model.diagnosis.snapshot import (
    ChainState,
    NamespaceState,
    NetworkState,
    RouteState,
    RuleState,
    Snapshot,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from tests.doctor.made import SHOP, WEB, chain, found, graded, rule, web
from tests.labs import Lab, sh

MASQUERADE = chain(
    "POSTROUTING", rule("-j MASQUERADE", "accept", {"saddr": "172.20.0.0/24"}), table="nat"
)


def host(*chains: ChainState, **counters: int) -> NamespaceState:
    """A host with rules and counters; `conntrack_invalid` has a space."""
    counted = {name.replace("conntrack_", "conntrack "): value for name, value in counters.items()}
    limits = (("net/netfilter/nf_conntrack_count", "1"), ("net/netfilter/nf_conntrack_max", "99"))
    return NamespaceState(
        "host", chains=(MASQUERADE, *chains), counters=tuple(counted.items()), settings=limits
    )


def shop(host: NamespaceState) -> Snapshot:
    """That host with the container web."""
    return Snapshot(host, (), (web(),), (SHOP,))


# -- a container's own address, from elsewhere ---------------------------------------------


def own(packets: int, to: str = "172.20.0.2/32", **more: str) -> RuleState:
    """Docker's rule of a container's address."""
    words = f"-d {to} ! -i br0 -j DROP"
    return rule(words, "drop", {"daddr": to, "!iifname": "br0", **more}, packets)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((own(0),), {}),
        ((own(3),), {}),
        ((own(4),), {"direct-access-dropped": "hint"}),
        ((own(2), own(2)), {"direct-access-dropped": "hint"}),
        ((own(9, "172.20.0.9/32"),), {}),
        ((own(9, dport="80"),), {}),
        ((rule("-j DROP", "drop", packets=99),), {}),
    ],
)
def test_packets_to_a_container_s_own_address(
    rules: tuple[RuleState, ...], expected: dict[str, str]
) -> None:
    """The rule of a container of the network counts, and a stray packet or three do not."""
    raw = chain("PREROUTING", *rules, table="raw")
    assert graded(shop(host(raw)), ["direct-access-dropped"]) == expected


def test_counters_that_others_read_are_left_alone() -> None:
    """No fix sets a whole chain's to zero."""
    raw = chain("PREROUTING", own(7), table="raw")
    (mine,) = direct.dropped(shop(host(raw)))
    assert all(isinstance(each, str) for each in mine.remedies)


@pytest.mark.parametrize("table", ["docker-bridges", "plumb-bridges"])
def test_the_same_of_nft(table: str) -> None:
    """Docker's other back end, and plumb's."""
    told = replace(own(7), conditions=(*own(7).conditions, ("nfproto", ("ipv4",), False)))
    raw = ChainState("nft", "ip", table, "raw-PREROUTING", (told,), "prerouting", -300, "accept")
    (mine,) = direct.dropped(shop(host(raw)))
    assert mine.subject.startswith("7 packets to containers of shop by their own addresses")


# -- damaged packets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({"UdpInCsumErrors": 9, "UdpInDatagrams": 0}, {}),
        ({"UdpInCsumErrors": 10, "UdpInDatagrams": 100_000}, {}),
        ({"UdpInCsumErrors": 10, "UdpInDatagrams": 9_990}, {"checksum-errors": "hint"}),
        ({"TcpInCsumErrors": 50, "TcpInSegs": 10}, {"checksum-errors": "hint"}),
    ],
)
def test_checksums_that_are_wrong(counters: dict[str, int], expected: dict[str, str]) -> None:
    """A few of many are a bad line somewhere in the world."""
    assert graded(shop(host(**counters)), ["checksum-errors"]) == expected


DAMAGED = """
import socket, struct
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack("!HHHH", 4711, 4789, 12, 0xBAD) + b"text"
ends = [bytes([127, 0, 0, 1])] * 2
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, *ends)
for _ in range(20):
    raw.sendto(ip + udp, ("127.0.0.1", 0))
"""


def test_damaged_datagrams_are_counted(lab: Lab) -> None:
    """Each namespace counts its own."""
    sh(f"python3 -c '{DAMAGED}'")
    with lab.host() as host:
        (mine,) = diagnose.diagnose(read.read(host))
    assert (mine.id, mine.subject) == (
        "checksum-errors",
        "packets with wrong checksums arrive: 20 UDP datagrams in host",
    )


# -- connection tracking -------------------------------------------------------------------


def test_connection_tracking_that_was_full() -> None:
    """It throws flows out only where there is no room for another."""
    assert graded(shop(host(conntrack_early_drop=1)), ["conntrack-was-full"]) == {
        "conntrack-was-full": "hint"
    }
    assert graded(shop(host()), ["conntrack-was-full"]) == {}


def test_a_counter_that_never_falls_is_no_reason_to_raise_a_limit() -> None:
    """`--fix` would double it with each run."""
    mine = found(shop(host(conntrack_early_drop=1)))["conntrack-was-full"]
    assert [each for each in mine.remedies if not isinstance(each, str)] == []


DROPS, ON_INPUT = (
    chain(name, rule("-j DROP", "drop", {"ct state": "invalid"})) for name in ("FORWARD", "INPUT")
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (host(conntrack_invalid=999, IpInReceives=1000), False),
        (host(conntrack_invalid=1000, IpInReceives=100_001), False),
        (host(conntrack_invalid=1000, IpInReceives=100_000), True),
        (host(conntrack_invalid=1000, IpInReceives=100_000, Ip6InReceives=1), False),
        (host(ON_INPUT, conntrack_invalid=1000, IpInReceives=100_000), True),
        (host(DROPS, conntrack_invalid=1000, IpInReceives=100_000), False),
    ],
)
def test_packets_that_belong_to_no_flow(given: NamespaceState, expected: bool) -> None:
    """Each host has some; a rule that drops them answers the question."""
    assert ("packets-invalid" in found(shop(given))) is expected
    liberal = replace(
        given, settings=(*given.settings, ("net/netfilter/nf_conntrack_tcp_be_liberal", "1"))
    )
    assert "packets-invalid" not in found(shop(liberal))


def test_the_kernel_s_counters_are_read(lab: Lab) -> None:
    """Those of connection tracking are a line for each processor, in hexadecimal."""
    sh("iptables -A OUTPUT -m conntrack --ctstate NEW -j ACCEPT; ping -c 1 127.0.0.1")
    with lab.host() as host:
        state = read.read(host).host
    assert {"conntrack invalid", "conntrack early_drop", "TCPSynRetrans", "Ip6InReceives"} <= dict(
        state.counters
    ).keys()
    assert state.counter("IpInReceives") >= 2


# -- a container to which nothing comes ----------------------------------------------------

L3 = NetworkState(
    "n",
    "far",
    "docker",
    "ipvlan",
    parent="eth0",
    subnets=(ip_network("172.20.0.0/24"),),
    on_lan=True,
    own_mac=False,
)


def on_lan(net: NetworkState, received: int, again: int, mode: str = "") -> Snapshot:
    """A container on the host's LAN, with what it has counted."""
    space = NamespaceState(
        "web",
        (Link(Netns("web", ""), 2, "eth0", mode=mode),),
        (("eth0", WEB),),
        counters=(("TCPSynRetrans", again),),
        received=(("eth0", received),),
    )
    parent = (Link(Netns("host", ""), 2, "eth0"),)
    mine = NamespaceState("host", parent, (("eth0", ip_interface("192.0.2.10/24")),))
    return Snapshot(mine, (space,), (web(),), (net,))


def test_a_network_without_a_way_back() -> None:
    """ipvlan in mode l3 needs a route on the LAN's router, by this host's address."""
    mine = found(on_lan(L3, 0, 6, "l3"))["nothing-received"]
    assert mine.grade == "hint"
    assert mine.remedies[0] == "on the LAN's router: ip route add 172.20.0.0/24 via 192.0.2.10"


def test_frames_that_the_switch_does_not_pass_on() -> None:
    """A macvlan container has a MAC of its own, for which a hypervisor may have no place."""
    mine = found(on_lan(replace(L3, driver="macvlan", own_mac=True), 0, 6))["nothing-received"]
    assert "promiscuous" in str(mine.remedies[0])


@pytest.mark.parametrize(("received", "again"), [(1, 6), (0, 2)])
def test_a_container_that_is_idle_or_answered_has_no_fault(received: int, again: int) -> None:
    """What came proves a way back, and what was not sent asks for none."""
    assert "nothing-received" not in found(on_lan(L3, received, again))


# -- published ports without their rule ----------------------------------------------------

DNAT = rule("-j DNAT --to-destination 172.20.0.2:80", "accept", {"l4proto": "tcp", "dport": "8080"})
PROXY = Listener("tcp", ip_address("0.0.0.0"), 8080, who="docker-proxy, pid 7")


def published(*chains: ChainState, listeners: tuple[Listener, ...] = ()) -> Snapshot:
    """A Docker host with web's port 8080."""
    routes = (RouteState(ip_network("0.0.0.0/0"), dev="eth0"),)
    given = replace(host(*chains), listeners=listeners, routes=routes)
    return Snapshot(given, (), (web("tcp"),), (SHOP,))


def test_a_published_port_that_no_rule_rewrites() -> None:
    """docker-proxy leads there all the same, and the clients' addresses are hidden."""
    lost, served = (found(published(listeners=each)) for each in ((), (PROXY,)))
    assert lost["port-not-rewritten"].subject == "port 8080/tcp leads to web no more"
    assert lost["port-not-rewritten"].severity == "problem"
    assert served["port-not-rewritten"].severity == "warning"
    assert "hides the clients' addresses" in served["port-not-rewritten"].subject


@pytest.mark.parametrize(
    "words", [DNAT, replace(DNAT, conditions=(("", (), False),)), rule("dnat", "accept")]
)
def test_a_rule_that_may_rewrite_it_is_enough(words: RuleState) -> None:
    """Also where its conditions are not known."""
    assert "port-not-rewritten" not in found(published(chain("DOCKER", words, table="nat")))


def test_plumb_s_own_rules_are_held_against_its_record() -> None:
    """And an overlay's port is the swarm's."""
    own = replace(published(), networks=(replace(SHOP, engine="plumb"),))
    assert "port-not-rewritten" not in found(own)
    mesh = replace(SHOP, driver="overlay", link="", bridge_in_host=False, multi_host=True)
    assert "port-not-rewritten" not in found(replace(published(), networks=(mesh,)))


# -- a kernel without the legacy tables ----------------------------------------------------

OLD = MachineState("6.18", ("6.18",), ((7, "dockerd"),), iptables="/usr/sbin/xtables-legacy-multi")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (replace(OLD, legacy=False), True),
        (OLD, False),
        (replace(OLD, legacy=False, iptables="/usr/sbin/xtables-nft-multi"), False),
        (replace(OLD, legacy=False, processes=()), False),
    ],
)
def test_iptables_for_which_the_kernel_has_no_tables(given: MachineState, expected: bool) -> None:
    """Somebody must run it."""
    snapshot = Snapshot(NamespaceState("host"), machine=given)
    assert ("iptables-without-kernel" in found(snapshot)) is expected


def test_a_dockerd_that_writes_nft_s_own_tables_needs_no_iptables() -> None:
    """`"firewall-backend": "nftables"` of Docker 29."""
    own = ChainState("nft", "ip", "docker-bridges", "filter-FORWARD", (), "forward", 0, "accept")
    snapshot = Snapshot(host(own), machine=replace(OLD, legacy=False))
    assert "iptables-without-kernel" not in found(snapshot)


@pytest.mark.parametrize(
    ("builtin", "modules", "expected"),
    [
        ("kernel/net/ipv4/netfilter/ip_tables.ko\n", "a:\n", True),
        ("a\n", "kernel/net/ipv4/netfilter/ip_tables.ko.xz: x_tables.ko\n", True),
        ("a\n", "kernel/net/ipv4/netfilter/nf_tables.ko:\n", False),
        ("a\n", "", True),
    ],
)
def test_the_legacy_tables_are_looked_for_in_the_lists_of_modules(
    builtin: str, modules: str, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To ask the kernel would load them; where the lists are not there, nothing is known."""
    lists = {"modules.builtin": builtin, "modules.dep": modules}
    monkeypatch.setattr(machine, "LOADED", str(tmp_path / "none"))
    monkeypatch.setattr(machine, "text", lambda path, _: lists[path.rpartition("/")[2]])
    assert machine._legacy() is expected
