"""Bench: a lab in which tests inject faults, one after the other, and trace packets.

n1  172.20.0.0/24, fd00:20::/64     c1 (listens on 80, on 127.0.0.1:82, on [::]:80; published),
                                    c2 (listens on 80)
n2  172.21.0.0/24                   c3
n3  172.22.0.0/24, enable_icc=false c4, c5
n4  172.23.0.0/24, --internal       c6, c8
none, host                          c7, c9
lan                                 the router of the host's LAN, with a route to n1
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from plumb import Host
from plumb.engine.reader import Reader
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Attachment
from plumb.model.keywords import NetworkOptions
from plumb.trace.report import Report, Wishes
from plumb.trace.tracer import Tracer
from tests import labs
from tests.cases import FORWARDS
from tests.labs import Lab, sh

COMMANDS = {"nf_tables": "iptables-nft", "legacy": "iptables-legacy", "nftables": "iptables-nft"}
LISTENERS = (
    ("c1", 80, "0.0.0.0"),
    ("c1", 80, "::"),
    ("c1", 81, "0.0.0.0"),
    ("c1", 82, "127.0.0.1"),
    ("c1", 83, "0.0.0.0"),
    ("c2", 80, "0.0.0.0"),
    ("c5", 80, "0.0.0.0"),
    ("c8", 80, "0.0.0.0"),
)
CLIENT = """import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.bind(("", int(sys.argv[1])))
    client.sendto(b"x", (sys.argv[2], int(sys.argv[3])))"""
ICC = "com.docker.network.bridge.enable_icc"


@dataclass
class Bench:
    """Lab with networks and containers.

    Attributes:
        kind: the firewall: "nf_tables", "legacy" or "nftables".
        names: replacements for the words in braces.
    """

    lab: Lab
    host: Host
    kind: str
    names: dict[str, str]

    def run(self, lines: str) -> None:
        """Run shell lines with words in braces."""
        if lines:
            sh(lines.format(**self.names))

    def undo(self, lines: str) -> None:
        """Run shell lines, as far as something is left to undo."""
        for line in filter(None, lines.split("; ")):
            sh(line.format(**self.names), check=False)

    def trace(self, source: str, to: str, wishes: Wishes) -> Report:
        """Trace a packet; "lan" is the router's namespace."""
        with Reader(self.lab.root, settings={}) as reader:
            return Tracer(reader).trace(self.lab.lan if source == "lan" else source, to, wishes)


@contextmanager
def bench(kind: str, driver: str = "", proxy: bool = True) -> Iterator[Bench]:
    """Bench with a firewall of that kind.

    Args:
        driver: "macvlan" or "ipvlan": with m1 and m2 on such a network of the LAN, p1 and p2
            (macvlan) on a private one beside it.
        proxy: True for a user-land proxy.
    """
    own: dict[str, object] = {
        "firewall-backend": "nftables" if kind == "nftables" else "iptables",
        "userland-proxy": proxy,
    }
    with ExitStack() as stack:
        if kind != "nftables":
            stack.enter_context(labs.iptables(kind))
        lab = stack.enter_context(labs.lab(lan=True))
        if kind == "nftables":
            sh(FORWARDS)
        host = stack.enter_context(lab.host(settings=own))
        _build(host)
        if driver:
            _on_the_lan(host, driver)
        for name, port, ip in LISTENERS:
            with entered(host.namespace(host.container(name))):
                stack.enter_context(_listener(ip, port))
        with entered(host.namespace(host.container("c1"))):
            stack.enter_context(_listener("0.0.0.0", 53, socket.SOCK_DGRAM))
        stack.enter_context(_listener("0.0.0.0", 22))
        labs.within(
            lab.lan,
            "ip route add 172.20.0.0/24 via 192.0.2.10;"
            " ip -6 route add fd00:20::/64 via 2001:db8:2::10",
        )
        yield Bench(lab, host, kind, _names(lab, host, kind))


class Benches:
    """Benches of several kinds, one at a time: each stays until a test needs another."""

    def __init__(self) -> None:
        self._made: Bench | None = None
        self._which: tuple[str, str, bool] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, kind: str, driver: str = "", proxy: bool = True) -> Bench:
        """A bench with these arguments of `bench`."""
        if self._made is None or self._which != (kind, driver, proxy):
            self._stack.close()
            self._made, self._which = (
                self._stack.enter_context(bench(kind, driver, proxy)),
                (kind, driver, proxy),
            )
        return self._made


def _build(host: Host) -> None:
    host.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
    host.create_network("n2", subnet="172.21.0.0/24")
    host.create_network("n3", subnet="172.22.0.0/24", options={ICC: "false"})
    host.create_network("n4", subnet="172.23.0.0/24", internal=True)
    host.run("c1", network="n1", publish=("8080:80", "8053:53/udp", "127.0.0.1:8081:81", "8085:85"))
    for name, network in {
        "c2": "n1",
        "c3": "n2",
        "c4": "n3",
        "c5": "n3",
        "c6": "n4",
        "c7": "none",
        "c8": "n4",
        "c9": "host",
    }.items():
        host.run(name, network=network)


def _on_the_lan(host: Host, driver: str) -> None:
    own: NetworkOptions = {
        "driver": driver,
        "subnet": "192.0.2.0/24",
        "gateway": "192.0.2.1",
        "options": {"parent": "eth0"},
    }
    host.create_network("n5", **own)
    boxes = [("m1", "n5", "192.0.2.51"), ("m2", "n5", "192.0.2.52")]
    if driver == "macvlan":
        host.create_network(
            "n6",
            driver=driver,
            subnet="198.18.0.0/24",
            options={"parent": "eth0", "macvlan_mode": "private"},
        )
        boxes += [("p1", "n6", "198.18.0.51"), ("p2", "n6", "198.18.0.52")]
    for name, network, ip in boxes:
        host.run(name, network=Attachment(network, ip=IPv4Address(ip)))


def _listener(ip: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    server = socket.socket(family, kind)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((ip, port))
    if kind == socket.SOCK_STREAM:
        server.listen(128)
    return server


def _names(lab: Lab, host: Host, kind: str) -> dict[str, str]:
    found = {
        "iptables": COMMANDS[kind],
        "saved": f"{lab.root}/saved",
        "client": shlex.join([sys.executable, "-c", CLIENT]),
        "lan": f"nsenter --net={lab.lan}",
    }
    for name in ("n1", "n2"):
        found[f"br{name[1]}"] = host.network(name).link
    for box in host.containers():
        found[box.name] = f"nsenter --net={host.namespace(box)}"
        for end in host.endpoints(box):
            if box.name[0] == "c":
                found[f"veth{box.name[1]}"], found[f"mac{box.name[1]}"] = end.link, end.mac
    flushes = [
        f"ip neigh flush dev {found['br1']}",
        *(f"{found[name]} ip neigh flush dev eth0" for name in ("c1", "c2")),
    ]
    found["running"] = f"until ip link show {found['veth1']} | grep -q LOWER_UP; do :; done"
    found["six"] = "; ".join(
        (
            f"ip -6 addr replace fd00:20::1/64 dev {found['br1']} nodad",
            f"{found['c1']} ip -6 addr replace fd00:20::2/64 dev eth0 nodad",
            f"{found['c1']} ip -6 route replace default via fd00:20::1",
        )
    )
    found["flush"] = "; ".join(flushes)
    return found
