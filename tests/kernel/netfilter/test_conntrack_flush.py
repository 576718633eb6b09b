"""Connection tracking: flows that began under other rules are forgotten, and no others.

A host on a LAN with a container behind it, and sockets in all three. The flows are real ones; each
test runs with entries deleted by the kernel, fetched all at once, picked out by the kernel, and
with a kernel that does not know how to pick."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from plumb.errors import KernelRefused
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netfilter import conntrack_flush
from plumb.kernel.netlink import ctnetlink
from plumb.kernel.netns import namespaces
from plumb.model.netns_state import ConntrackEntry, ConnTuple
from plumb.plan import Step
from plumb.things.host_ports import HostPort
from plumb.things.iptables import Family, Rule
from tests.labs import HOST_IP, HOST_IP6, Lab, sh, within
from tests.waiting import until

INSIDE, INSIDE6, OTHER_IP = "10.9.0.2", "2001:db8:9::2", "192.0.2.11"
HOST_OF, INSIDE_OF, TOOL = (
    {4: HOST_IP, 6: HOST_IP6},
    {4: INSIDE, 6: INSIDE6},
    {4: "iptables", 6: "ip6tables"},
)
# flows are tracked where a rule asks for their state
TRACK = "$tool -A FORWARD -m conntrack --ctstate INVALID"
SOCKETS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}


@dataclass
class Street:
    """A client on the LAN, the host, and a container behind it.

    Attributes:
        lab: the host and its LAN; the thread is in the host's namespace.
        inside: the container's namespace.
        few: entries that are read all at once.
        opened: sockets to close at the end.
    """

    lab: Lab
    inside: str
    few: int
    opened: ExitStack = field(default_factory=ExitStack)

    def forget(self, *ports: HostPort) -> int:
        """Forget the flows of ports, in this street's way; how many they were."""
        before = len(conntrack_flush.dump())
        conntrack_flush.forget(ports, self.few)
        return before - len(conntrack_flush.dump())

    def hear(
        self, port: int, protocol: str = "udp", version: int = 4, inside: bool = False
    ) -> socket.socket:
        """A socket bound to a port of the host or of the container, listening if it is TCP's."""
        with namespaces.entered(self.inside if inside else ""):
            made = self._socket(protocol, version)
        made.bind(("", port))
        if protocol == "tcp":
            made.listen()
        return made

    def call(self, ip: str, port: int, protocol: str = "udp") -> socket.socket:
        """A flow of the client's to an address and port."""
        with namespaces.entered(self.lab.lan):
            made = self._socket(protocol, ip_address(ip).version)
        made.connect((ip, port))
        if protocol == "udp":
            made.send(b"hello")
        return made

    def _socket(self, protocol: str, version: int) -> socket.socket:
        made = self.opened.enter_context(
            socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, SOCKETS[protocol])
        )
        if version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(30)
        return made


@pytest.fixture(params=["deleted by the kernel", "all at once", "picked out", "an older kernel"])
def street(
    request: pytest.FixtureRequest, lan: Lab, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Street]:
    """The three of them, in each of the ways in which entries are found."""
    few = conntrack_flush.FEW if request.param == "all at once" else 0
    if request.param != "deleted by the kernel":
        monkeypatch.setattr(conntrack_flush, "flush_reads_filters", lambda: False)
    if request.param == "an older kernel":
        monkeypatch.setattr(
            ctnetlink, "CTA_FILTER", 99
        )  # an attribute that the kernel does not know, as a filter was once
    inside = f"{lan.root.parent}/inside"
    namespaces.make(inside)
    sh(f"""ip link add veth0 type veth peer name eth0 netns {inside}; ip link set veth0 up
        ip addr add {OTHER_IP}/24 dev eth0
        ip addr add 10.9.0.1/24 dev veth0; ip addr add 2001:db8:9::1/64 dev veth0 nodad
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        for tool in iptables ip6tables
        do $tool -t nat -N PUBLISHED; $tool -t nat -A PREROUTING -j PUBLISHED; {TRACK}; done""")
    within(
        inside,
        f"""ip link set lo up; ip link set eth0 up; ip addr add {INSIDE}/24 dev eth0
        ip addr add {INSIDE6}/64 dev eth0 nodad; ip route add default via 10.9.0.1
        ip -6 route add default via 2001:db8:9::1""",
    )
    within(lan.lan, f"ip route add 10.9.0.0/24 via {HOST_IP}")
    made = Street(lan, inside, few)
    with made.opened:
        yield made
    namespaces.drop(inside)


def publish(port: int, protocol: str = "udp", version: int = 4, inside: int = 5300) -> None:
    """Put in the rule that sends a port of the host to the container."""
    to = f"[{INSIDE6}]:{inside}" if version == 6 else f"{INSIDE}:{inside}"
    sh(
        f"{TOOL[version]} -t nat -A PUBLISHED -p {protocol} --dport {port} "
        f"-j DNAT --to-destination {to}"
    )


def take_back(version: int = 4) -> None:
    """Take all such rules away."""
    sh(f"{TOOL[version]} -t nat -F PUBLISHED")


def published(
    port: int, protocol: str = "udp", version: int = 4, ip: str = "", to: str = ""
) -> HostPort:
    """The thing that says so; on all addresses where none is given."""
    any_of = "::" if version == 6 else "0.0.0.0"
    return HostPort(
        "", protocol, ip_address(ip or any_of), port, ip_address(to or INSIDE_OF[version]), 5300
    )


def tracked() -> list[tuple[str, int]]:
    """The flows that there are: original destination and its port."""
    return sorted(
        (str(flow.way.dst), flow.way.dport) for flow in conntrack_flush.dump() if flow.way.dport
    )


def heard(*by: socket.socket) -> list[socket.socket]:
    """The UDP sockets that hear something, as soon as one does; they have read it."""
    ready, _, _ = select.select(by, [], [], 30)
    for each in ready:
        each.recv(64)
    return ready


@pytest.mark.parametrize("version", [4, 6])
def test_a_flow_that_began_before_its_rule_follows_the_rule(street: Street, version: int) -> None:
    """UDP goes on to the host's socket after its port was published, until the flow is
    forgotten."""
    host, container = (
        street.hear(5353, version=version),
        street.hear(5300, version=version, inside=True),
    )
    client = street.call(HOST_OF[version], 5353)
    assert heard(host) == [host]
    publish(5353, version=version)
    client.send(b"again")
    assert heard(host, container) == [host]

    assert street.forget(published(5353, version=version)) == 1
    client.send(b"and again")
    assert heard(host, container) == [container]


@pytest.mark.parametrize("version", [4, 6])
def test_a_flow_to_a_target_that_went_is_gone(street: Street, version: int) -> None:
    """UDP goes on to the container after its port was taken back, until the flow is forgotten."""
    host, container = (
        street.hear(5353, version=version),
        street.hear(5300, version=version, inside=True),
    )
    publish(5353, version=version)
    client = street.call(HOST_OF[version], 5353)
    assert heard(container) == [container]
    take_back(version)
    client.send(b"again")
    assert heard(host, container) == [container]

    assert street.forget(published(5353, version=version)) == 1
    client.send(b"and again")
    assert heard(host, container) == [host]


def test_a_tcp_connection_to_a_target_that_went_is_gone(street: Street) -> None:
    """What was rewritten to the container is forgotten whatever its protocol and port.

    What was not stays.
    """
    street.hear(5300, "tcp", inside=True)
    street.hear(8081, "tcp")
    publish(8080, "tcp")
    street.call(HOST_IP, 8080, "tcp")
    street.call(HOST_IP, 8081, "tcp")
    street.call(INSIDE, 5300, "tcp")
    assert tracked() == [(INSIDE, 5300), (HOST_IP, 8080), (HOST_IP, 8081)]

    assert street.forget(published(8081, "tcp")) == 1
    assert tracked() == [(INSIDE, 5300), (HOST_IP, 8081)]


def test_flows_that_have_nothing_to_do_with_it_stay(street: Street) -> None:
    """Other ports, other addresses, the other family and TCP of the same number are left alone."""
    street.hear(5353, "tcp")
    for ip in (HOST_IP, OTHER_IP, HOST_IP6):
        for port in (5353, 5354):
            street.call(ip, port)
    street.call(HOST_IP, 5353, "tcp")
    before = tracked()

    assert street.forget(published(5353, ip=HOST_IP)) == 1
    before.remove((HOST_IP, 5353))
    assert tracked() == before
    assert len(before) == 6


def test_many_ports_at_once(street: Street) -> None:
    """Both families, several ports, several containers: one call."""
    for port in (5353, 5354, 5355):
        street.call(HOST_IP, port)
        street.call(HOST_IP6, port)

    ports = [
        published(5353),
        published(5353, version=6),
        published(5354),
        published(5355, to="10.9.0.3", version=6),
    ]
    assert street.forget(*ports) == 4
    assert tracked() == [(HOST_IP, 5355), (HOST_IP6, 5354)]


@pytest.mark.parametrize("flushed", [True, False])
def test_few_among_many(lan: Lab, monkeypatch: pytest.MonkeyPatch, flushed: bool) -> None:
    """Of two thousand flows the one goes, and the kernel picks it out."""
    if not flushed:
        monkeypatch.setattr(conntrack_flush, "flush_reads_filters", lambda: False)
    sh(f"tool=iptables; {TRACK}")
    with namespaces.entered(lan.lan), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for port in range(10000, 12000):
            client.sendto(b"hello", (HOST_IP, port))
    sent = conntrack_flush.dump()

    conntrack_flush.forget([published(10500)])
    assert len(sent) == 2000 > conntrack_flush.FEW
    assert {flow.way for flow in sent} - {flow.way for flow in conntrack_flush.dump()} == {
        way(sent, 10500)
    }


def way(flows: list[ConntrackEntry], port: int) -> ConnTuple:
    """The way of the flow to a port."""
    return next(flow.way for flow in flows if flow.way.dport == port)


def test_what_has_ended_meanwhile_counts_as_forgotten(street: Street) -> None:
    """A flow that goes between reading and deleting is no error."""
    street.call(HOST_IP, 5353)
    flows = conntrack_flush.dump()
    with ctnetlink.Table() as table:
        table.delete(flows)
        table.delete(flows)

    assert tracked() == []


def test_other_protocols_are_read_and_left_alone(street: Street) -> None:
    """An echo request has no ports."""
    within(street.lab.lan, f"ping -c1 -W10 {HOST_IP}; ping -c1 -W10 {HOST_IP6}")

    assert {(flow.protocol, flow.way.dport) for flow in conntrack_flush.dump()} >= {
        ("icmp", 0),
        ("icmp6", 0),
    }
    assert street.forget(published(5353)) == 0


@pytest.mark.parametrize(
    ("release", "reads"),
    [
        ("6.11.0-29-generic", True),
        ("6.18.44", True),
        ("7.0", True),
        ("6.1.0-37-amd64", False),
        ("5.14.0-503.el9", False),
        ("unknown", False),
    ],
)
def test_only_a_kernel_that_reads_a_filter_is_told_to_flush(
    monkeypatch: pytest.MonkeyPatch, release: str, reads: bool
) -> None:
    """One that does not would forget all flows of the host."""
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*here[:2], release, *here[3:])))

    assert conntrack_flush.flush_reads_filters() == reads


def test_nothing_is_asked_where_nothing_is_tracked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace without flows costs no walk through the kernel's table.

    Nor does a change without ports.
    """

    def refuse(self: object) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr(ctnetlink.Table, "__init__", refuse)

    conntrack_flush.forget([published(5353)])
    conntrack_flush.forget([])


PORT, MOVED = published(5353), published(5354)
WITH_ITS_RULE = Step(
    None,
    Rule(
        Family.V4,
        "nat",
        "PLUMB",
        "-p udp -m udp --dport 5353 -j DNAT --to-destination 172.20.0.2:53",
    ),
)


@pytest.mark.parametrize(
    "steps", [[Step(None, PORT), WITH_ITS_RULE], [Step(PORT, None)], [Step(PORT, MOVED)]], ids=str
)
def test_a_port_that_comes_goes_or_changes_is_settled(lan: Lab, steps: list[Step]) -> None:
    """Once all steps of an operation are taken, flows of the ports among them are forgotten.

    Before and after.
    """
    sh(f"tool=iptables; {TRACK}")
    with namespaces.entered(lan.lan), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (HOST_IP, 5353))
    until(tracked, "the datagram has come")
    assert tracked() == [(HOST_IP, 5353)]
    LinuxKernel()._settle(steps)

    assert tracked() == []


def test_a_port_that_is_held_anew_keeps_its_flows(lan: Lab) -> None:
    """Its agent was killed.

    Its rules have been there all the time, and what they have said still holds.
    """
    sh(f"tool=iptables; {TRACK}")
    with namespaces.entered(lan.lan), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (HOST_IP, 5353))
    until(tracked, "the datagram has come")
    LinuxKernel()._settle([Step(None, PORT)])

    assert tracked() == [(HOST_IP, 5353)]


def test_what_cannot_be_forgotten_is_no_failure(lan: Lab) -> None:
    """The kernel refuses: `forget` says so, and the operation goes on."""
    sh(f"tool=iptables; {TRACK}")
    with namespaces.entered(lan.lan), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (HOST_IP, 5353))
    os.seteuid(65534)
    try:
        with pytest.raises(
            KernelRefused,
            match=r"cannot forget tracked connections: Operation not permitted \(EPERM\)",
        ):
            conntrack_flush.forget([published(5353)])
        LinuxKernel()._settle([Step(published(5353), None)])
    finally:
        os.seteuid(0)
