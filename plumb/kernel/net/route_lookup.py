"""The oracle: what a namespace would do with a packet, and what it remembers.

Asked of the kernel, and nothing is sent.

    routing        RTM_GETROUTE asks the same functions that a packet goes through, from outside (with the link that it came in by and
                   its source, so that forwarding and the checks of its source are part of the answer) or from a socket of its own
    forwarding     which of a bridge's ports a MAC address is behind; to which host of an overlay
    connections    connection tracking's entries of a flow, which show NAT's work
    listeners      who waits for what comes in
    counters       what the stack has counted; the difference of two readings tells what happened between them

A no from the routing is an errno, and an errno means several things: EINVAL is a blackhole, or a
source that cannot come from there. So where a packet from outside is refused, the question is asked
once more as if it were the namespace's own: what is refused then too, is the destination's fault.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from plumb.errors import KernelRefused
from plumb.kernel.net import sysctl
from plumb.kernel.netlink import ctnetlink
from plumb.kernel.netlink.codec import attribute, attributes
from plumb.kernel.netlink.connection import Questions
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.ports import listeners
from plumb.model.netns_state import ConntrackEntry, ConnTuple, Listener, RouteAnswer
from plumb.model.observations import Flow, Netns

IPAddress = IPv4Address | IPv6Address
# linux/rtnetlink.h, linux/neighbour.h; the numbers are the kernel's ABI.
GETROUTE, GETNEIGH = 26, 30
DST, SRC, IIF, OIF, GATEWAY, PREFSRC, TABLE, MARK, VIA = 1, 2, 3, 4, 5, 7, 15, 16, 18
LOOKUP_TABLE, FIB_MATCH = 0x1000, 0x2000
ROUTE, NEIGHBOUR = struct.Struct("=BBBBBBBBI"), struct.Struct("=BxxxiHBB")
TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
REFUSING = {"EINVAL": "blackhole", "EACCES": "prohibit", "EHOSTUNREACH": "unreachable"}
"""Types of routes that answer with an errno."""
AF_BRIDGE = 7
PERMANENT = 0x80
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
COUNTERS = ("snmp", "netstat")
SEEN_REPLY = 0x2
STATUS, ICMP_ID = 3, {4: 4, 6: 7}
PROTOCOLS = {
    "icmp": {4: 1, 6: 58},
    "tcp": {4: 6, 6: 6},
    "udp": {4: 17, 6: 17},
    "sctp": {4: 132, 6: 132},
}

MEANINGS = {
    "ENETUNREACH": "there is no route to that destination",
    "EHOSTUNREACH": "packets that come in by this link are not forwarded, or the route says unreachable",
    "EACCES": "the route says prohibit",
    "EINVAL": "the route is a blackhole, or such a source cannot come in by this link (rp_filter, or an address that is never a source)",
    "EXDEV": "the answer would leave by another link than the packet came in by (rp_filter)",
    "ENODEV": "there is no such link",
    "EAGAIN": "no table that the rules lead to has a route to that destination",
}
"""What the routing means with an errno."""


@dataclass(frozen=True)
class FdbEntry:
    """Where frames to a MAC address go.

    Attributes:
        dev: the bridge's port, or the VXLAN link; bridge: the bridge, empty for a VXLAN's own
        entries.
        ip: the host that a VXLAN sends them to.
        vlan: the VLAN that it holds for, 0 for all.
        own: it is an address of the link itself, or written by hand; not learned.
    """

    mac: str
    dev: str
    bridge: str = ""
    ip: IPAddress | None = None
    vlan: int = 0
    own: bool = False


class RouteLookup:
    """What the kernel knows in a namespace; read only.

    Raises:
        KernelRefused: there is no such namespace.
    """

    def __init__(self, place: Netns) -> None:
        self.place = place
        with entered(place.ns):
            self._route = Questions(socket.NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._route.close()

    # -- routing ---------------------------------------------------------------

    def route(
        self, to: IPAddress, source: IPAddress | None = None, iif: str = "", mark: int = 0
    ) -> RouteAnswer:
        """What would be done with a packet.

        Args:
            to: its destination as the routing sees it, after a rewriting of it.
            source: its source; None: whatever the kernel would choose.
            iif: the link that it came in by; empty for one that is sent from here.
            mark: its firewall mark.

        Returns:
            The route; or with `error` the name of the errno, and a type where it is a route that
            says no.
        """
        if iif and iif not in self._links.values():
            return RouteAnswer(to, error="ENODEV")
        found = self._asked(to, source, iif, mark)
        if not found.error:
            return found
        own = self._asked(to, None, "", mark) if iif or source else found
        return RouteAnswer(to, type=REFUSING.get(own.error, ""), error=found.error)

    def _asked(self, to: IPAddress, source: IPAddress | None, iif: str, mark: int) -> RouteAnswer:
        bits = to.max_prefixlen
        body = attribute(DST, to.packed) + (attribute(SRC, source.packed) if source else b"")
        if iif:
            body += attribute(
                IIF,
                struct.pack(
                    "=I", next(index for index, name in self._links.items() if name == iif)
                ),
            )
        if mark:
            body += attribute(MARK, struct.pack("=I", mark))
        try:
            whole = self._get(to, bits, source, body, LOOKUP_TABLE)
        except OSError as error:
            return RouteAnswer(to, error=errno.errorcode.get(error.errno or 0, str(error.errno)))
        try:
            matched = self._get(to, bits, source, body, LOOKUP_TABLE | FIB_MATCH)
        except OSError:
            matched = whole
        _, length, _, _, _, _, _, kind, _ = ROUTE.unpack_from(whole)
        _, net_length, *_ = ROUTE.unpack_from(matched)
        found, entry = attributes(whole[ROUTE.size :]), attributes(matched[ROUTE.size :])
        net = f"{ip_address(entry[DST])}/{net_length}" if DST in entry else "default"
        return RouteAnswer(
            to,
            TYPES.get(kind, str(kind)),
            self._links.get(_number(found.get(OIF)), ""),
            _gateway(found),
            ip_address(found[PREFSRC]) if PREFSRC in found else None,
            net.removesuffix(f"/{bits}") if length else net,
            _number(entry.get(TABLE)) or 254,
        )

    def _get(
        self, to: IPAddress, bits: int, source: IPAddress | None, body: bytes, flags: int
    ) -> bytes:
        head = ROUTE.pack(FAMILIES[to.version], bits, bits if source else 0, 0, 0, 0, 0, 0, flags)
        return next(self._route.ask(GETROUTE, head + body))

    # -- forwarding ---------------------------------------------------------------

    def fdb(self) -> list[FdbEntry]:
        """The forwarding tables of all bridges and VXLAN links.

        Not the multicast addresses that each link listens to.
        """
        return [
            entry
            for payload in self._route.dump(GETNEIGH, NEIGHBOUR.pack(AF_BRIDGE, 0, 0, 0, 0))
            if (entry := self._entry(payload)) is not None
        ]

    def _entry(self, payload: bytes) -> FdbEntry | None:
        family, index, state, _, _ = NEIGHBOUR.unpack_from(payload)
        found = attributes(payload[NEIGHBOUR.size :])
        if family != AF_BRIDGE or 2 not in found or not (found.keys() & {1, 9}):
            return None
        return FdbEntry(
            found[2].hex(":"),
            self._links.get(index, ""),
            self._links.get(_number(found.get(9)), ""),
            ip_address(found[1]) if 1 in found else None,
            _number(found.get(5)),
            bool(state & PERMANENT),
        )

    @cached_property
    def _links(self) -> dict[int, str]:
        """Links' names by their numbers."""
        with entered(self.place.ns):
            return dict(socket.if_nameindex())

    # -- settings, connections, listeners, counters
    # ---------------------------------------------------------------

    def setting(self, name: str) -> str:
        """A sysctl's value, as net/ipv4/ip_forward; empty where there is none of that name."""
        with entered(self.place.ns):
            return sysctl.read(name) or ""

    def tracked(self, flow: Flow) -> list[ConntrackEntry]:
        """What connection tracking remembers of a flow.

        The kernel walks its whole table for it, some 9 ms.

        Raises:
            KernelRefused: the kernel did not answer as it should. A kernel without connection
            tracking remembers nothing.
        """
        with entered(self.place.ns):
            if not int(sysctl.read("net/netfilter/nf_conntrack_count") or 0):
                return []
            try:
                with ctnetlink.Table() as table:
                    entries = list(table.dump(FAMILIES[flow.version]))
            except OSError as error:
                raise KernelRefused(
                    "read tracked connections", error.errno or 0, error.strerror or ""
                ) from error
        wanted = PROTOCOLS[flow.protocol][flow.version]
        return [
            _tracked(flow.protocol, entry)
            for entry in entries
            if entry.way.protocol == wanted and _token(entry, flow.version) == flow.token
        ]

    def listeners(self, protocol: str) -> list[Listener]:
        """Who waits for what comes in.

        Args:
            protocol: "tcp", "udp" or "sctp".

        Raises:
            KernelRefused: this kernel does not tell (INET_DIAG).
        """
        with entered(self.place.ns):
            return listeners.all_of(protocol)

    def counters(self) -> dict[str, int]:
        """What the stack has counted.

        "Ip.InAddrErrors", "TcpExt.IPReversePathFilter", "Ip6.InNoRoutes".
        """
        found: dict[str, int] = {}
        with entered(self.place.ns):
            for name in COUNTERS:
                found.update(_pairs(_lines(name)))
            for line in _lines("snmp6"):
                match = re.match(r"([A-Za-z]+6)(\w+)\s+(\d+)", line)
                if match:
                    found[f"{match[1]}.{match[2]}"] = int(match[3])
        return found


def meaning(answer: RouteAnswer) -> str:
    """What the routing means with its no; empty for a yes."""
    return (
        f"the route says {answer.type}"
        if answer.error and answer.type
        else MEANINGS.get(answer.error, answer.error)
    )


def moved(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was counted between two readings of `Oracle.counters`."""
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0)
    }


def _gateway(found: Mapping[int, bytes]) -> IPAddress | None:
    if GATEWAY in found:
        return ip_address(found[GATEWAY])
    return (
        ip_address(found[VIA][2:]) if VIA in found else None
    )  # IPv4 by way of an IPv6 neighbour: struct rtvia


def _tracked(protocol: str, entry: ctnetlink.ConntrackEntry) -> ConntrackEntry:
    way, reply = (
        ConnTuple(ip_address(each.src), ip_address(each.dst), each.src_port, each.dst_port)
        for each in (entry.way, entry.reply)
    )
    status = attributes(entry.message[ctnetlink.GENERIC.size :]).get(STATUS, b"")
    return ConntrackEntry(
        protocol, way, reply, answered=bool(int.from_bytes(status, "big") & SEEN_REPLY)
    )


def _token(entry: ctnetlink.ConntrackEntry, version: int) -> int:
    """The client's port, or an echo's identifier."""
    if entry.way.protocol not in PROTOCOLS["icmp"].values():
        return entry.way.src_port
    way = attributes(attributes(entry.message[ctnetlink.GENERIC.size :])[ctnetlink.TUPLE_ORIG])
    return int.from_bytes(attributes(way[ctnetlink.TUPLE_PROTO]).get(ICMP_ID[version], b""), "big")


def _pairs(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Two lines each: "Ip: Forwarding DefaultTTL …", then "Ip: 1 64 …"."""
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        yield from (
            (f"{group}.{name}", int(value))
            for name, value in zip(rest.split(), values.split()[1:], strict=False)
        )


def _lines(name: str) -> list[str]:
    try:
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return file.readlines()
    except FileNotFoundError:
        return []  # no IPv6 in this kernel


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "little")
