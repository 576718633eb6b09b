"""A crossroads to watch packets at.

A LAN, a host that forwards, and a box behind a bridge of the host; all built by hand, not by plumb.

lan ── eth0 of the host ── br0 ── v1 ── eth0 of the box     10.77.0.2/24, fd77::2/64
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from plumb.kernel.capture.collector import Collector, Records
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import CapturedFrame, Flow, Netns
from tests import labs
from tests.labs import HOST_IP, HOST_IP6, Lab, sh, within
from tests.waiting import until

BOX_IP, BOX_IP6 = "10.77.0.2", "fd77::2"
BOX = {4: BOX_IP, 6: BOX_IP6}
HOST = {4: HOST_IP, 6: HOST_IP6}
PORT, PUBLISHED = 80, 8080
TOOL = {4: "iptables", 6: "ip6tables"}
TARGET = {4: f"{BOX_IP}:{PORT}", 6: f"[{BOX_IP6}]:{PORT}"}


@dataclass
class Crossroads:
    """Where one can watch.

    Attributes:
        memory: a folder for notes.
    """

    lab: Lab
    lan: Netns
    host: Netns
    box: Netns
    memory: str

    @property
    def places(self) -> list[Netns]:
        """All three, from the client on."""
        return [self.lan, self.host, self.box]

    def collector(self, flow: Flow, **asked: object) -> Collector:
        """A collector in all places."""
        return Collector(self.places, flow, memory=self.memory, **asked)  # type: ignore[arg-type]  # the keywords are its own

    def knock(
        self, flow: Flow, ip: str = "", place: Netns | None = None, seconds: float = 1.0
    ) -> str:
        """Connect from the LAN with the flow's port, or send a datagram and wait for the answer.

        The error's name, empty for none.
        """
        family = socket.AF_INET if flow.version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if flow.protocol == "tcp" else socket.SOCK_DGRAM
        with entered((place or self.lan).ns), socket.socket(family, kind) as client:
            client.bind(("", flow.token))
            client.settimeout(seconds)
            try:
                client.connect((ip or BOX[flow.version], flow.port))
                if flow.protocol == "udp":
                    client.send(b"knock")
                    client.recv(100)
            except OSError as error:
                return type(error).__name__
        return ""

    def traced(self, flow: Flow, ip: str = "", **asked: object) -> Records:
        """The records of one knock, as soon as the client knows."""
        with self.collector(flow, **asked) as trace:
            self.knock(flow, ip, seconds=0.3)
            return trace.collect(0.05)

    @contextmanager
    def listening(
        self, place: Netns | None = None, port: int = PORT, ip: str = "::"
    ) -> Iterator[None]:
        """Somebody listens in the box, on TCP."""
        with (
            entered((place or self.box).ns),
            socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as server,
        ):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((ip, port))
            server.listen()
            yield


@contextmanager
def crossroads() -> Iterator[Crossroads]:
    """A crossroads, gone afterwards."""
    with labs.lab(lan=True) as lab:
        box = f"{lab.root.parent}/box"
        namespaces.make(box)
        try:
            sh(f"""ip link add br0 type bridge; ip link set br0 up
                ip addr add 10.77.0.1/24 dev br0; ip addr add fd77::1/64 dev br0 nodad
                ip link add v1 type veth peer name eth0 netns {box}; ip link set v1 master br0 up
                sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1""")
            within(
                box,
                f"""ip link set lo up; ip link set eth0 up
                ip addr add {BOX_IP}/24 dev eth0; ip addr add {BOX_IP6}/64 dev eth0 nodad
                ip route add default via 10.77.0.1; ip -6 route add default via fd77::1""",
            )
            within(
                lab.lan,
                f"ip route add 10.77.0.0/24 via {HOST_IP}; "
                f"ip -6 route add fd77::/64 via {HOST_IP6}",
            )
            until(lambda: "state UP" in sh("ip link show br0"), "the bridge has a carrier")
            yield Crossroads(
                lab,
                Netns("lan", lab.lan),
                Netns("host", lab.netns),
                Netns("box", box),
                str(lab.root),
            )
        finally:
            namespaces.drop(box)


def base_chain(
    family: str,
    table: str,
    chain: str,
    hook: str,
    *rules: str,
    priority: int = 0,
    policy: str = "accept",
) -> str:
    """The command that makes a table of nft with one base chain."""
    body = f"type filter hook {hook} priority {priority}; policy {policy}; {' ; '.join(rules)}"
    return f"nft 'table {family} {table} {{ chain {chain} {{ {body}\n}}\n}}'"


def flow(version: int = 4, protocol: str = "tcp", port: int = PORT) -> Flow:
    """A flow that nobody else has."""
    return Flow(version, protocol, 20_000 + secrets.randbelow(10_000), port)


def way(seen: tuple[CapturedFrame, ...]) -> list[str]:
    """Where a packet was seen: "lan:port0>" for out, ">host:eth0" for in."""
    return [
        f">{each.place.name}:{each.dev}" if each.inbound else f"{each.place.name}:{each.dev}>"
        for each in seen
    ]


def ip(text: str) -> IPv4Address | IPv6Address:
    """An address."""
    return ip_address(text)
