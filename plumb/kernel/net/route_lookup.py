"""Route lookups in a namespace, and its forwarding tables, conntrack entries, listeners, counters.

plumb reads them from the kernel and sends no packet.

    routing        RTM_GETROUTE calls the functions that a packet goes through, from outside (with
                   its incoming link and its source, so that forwarding and the checks of its source
                   are part of the answer) or from a socket of the namespace
    forwarding     the bridge's port, or the overlay's host, behind which a MAC address is
    connections    connection tracking's entries of a flow, which show NAT's rewriting
    listeners      sockets that wait for packets
    counters       the network stack's counters; the difference of two readings shows the events
                   between them

The kernel refuses a lookup with an errno, and an errno means several things: EINVAL is a blackhole,
or a source that cannot come from there. So where it refuses a packet from outside, plumb repeats
the lookup as for a packet of the namespace's own: a refusal of that too is due to the destination.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator, Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import Self

from plumb.address import IPAddress
from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.net import sysctl
from plumb.kernel.netlink import ctnetlink
from plumb.kernel.netlink.codec import attribute, attribute_u32, attributes, number
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    NDA_DST,
    NDA_LLADDR,
    NDA_MASTER,
    NDA_VLAN,
    NDMSG,
    NUD_PERMANENT,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_IIF,
    RTA_MARK,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_SRC,
    RTA_TABLE,
    RTA_VIA,
    RTM_F_FIB_MATCH,
    RTM_F_LOOKUP_TABLE,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTMSG,
    RTN_ANYCAST,
    RTN_BLACKHOLE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_NAT,
    RTN_PROHIBIT,
    RTN_THROW,
    RTN_UNICAST,
    RTN_UNREACHABLE,
)
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.ports import listeners
from plumb.model.netns_state import ConntrackEntry, Listener, RouteAnswer
from plumb.model.observations import Flow, Netns

TYPES = {
    RTN_UNICAST: "unicast",
    RTN_LOCAL: "local",
    RTN_BROADCAST: "broadcast",
    RTN_ANYCAST: "anycast",
    RTN_MULTICAST: "multicast",
    RTN_BLACKHOLE: "blackhole",
    RTN_UNREACHABLE: "unreachable",
    RTN_PROHIBIT: "prohibit",
    RTN_THROW: "throw",
    RTN_NAT: "nat",
}
REFUSING = {"EINVAL": "blackhole", "EACCES": "prohibit", "EHOSTUNREACH": "unreachable"}
"""Types of routes that answer with an errno."""
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
COUNTERS = ("snmp", "netstat")

MEANINGS = {
    "ENETUNREACH": "there is no route to that destination",
    "EHOSTUNREACH": "packets that come in by this link are not forwarded, "
    "or the route says unreachable",
    "EACCES": "the route says prohibit",
    "EINVAL": "the route is a blackhole, or such a source cannot come in by this link "
    "(rp_filter, or an address that is never a source)",
    "EXDEV": "the answer would leave by another link than the packet came in by (rp_filter)",
    "ENODEV": "there is no such link",
    "EAGAIN": "no table that the rules lead to has a route to that destination",
}
"""Meanings of a route lookup's errnos."""


@frozen
class FdbEntry:
    """An entry of a forwarding table: the destination of frames to a MAC address.

    Attributes:
        mac: the address, in hexadecimal with colons.
        dev: the bridge's port, or the VXLAN link.
        bridge: the bridge, empty for a VXLAN's own entries.
        ip: the host that a VXLAN sends the frames to.
        vlan: the VLAN that the entry is for, 0 for all.
        own: True for an address of the link itself and for an entry by hand; False for a learned
        one.
    """

    mac: str
    dev: str
    bridge: str = ""
    ip: IPAddress | None = None
    vlan: int = 0
    own: bool = False


class RouteLookup:
    """Lookups in a namespace, which change nothing in it.

    Raises:
        KernelRefused: there is no such namespace.
    """

    def __init__(self, place: Netns) -> None:
        self.place = place
        with entered(place.ns):
            self._route = Connection(NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._route.close()

    # -- routing ---------------------------------------------------------------

    def route(
        self, to: IPAddress, source: IPAddress | None = None, iif: str = "", mark: int = 0
    ) -> RouteAnswer:
        """Look up the route of a packet.

        Args:
            to: its destination, after NAT has rewritten it.
            source: its source; None for the address that the kernel would choose.
            iif: the link that it came in by; empty for a packet that is sent from here.
            mark: its firewall mark.

        Returns:
            The route; or with `error` the name of the errno, and a type where a route refuses
            packets (blackhole, prohibit, unreachable).
        """
        if iif and iif not in self._links.values():
            return RouteAnswer(to, error="ENODEV")
        found = self._looked_up(to, source, iif, mark)
        if not found.error:
            return found
        own = self._looked_up(to, None, "", mark) if iif or source else found
        return RouteAnswer(to, type=REFUSING.get(own.error, ""), error=found.error)

    def _looked_up(
        self, to: IPAddress, source: IPAddress | None, iif: str, mark: int
    ) -> RouteAnswer:
        bits = to.max_prefixlen
        body = attribute(RTA_DST, to.packed)
        if source:
            body += attribute(RTA_SRC, source.packed)
        if iif:
            index = next(index for index, name in self._links.items() if name == iif)
            body += attribute_u32(RTA_IIF, index)
        if mark:
            body += attribute_u32(RTA_MARK, mark)
        try:
            whole = self._get(to, bits, source, body, RTM_F_LOOKUP_TABLE)
        except OSError as error:
            return RouteAnswer(to, error=errno.errorcode.get(error.errno or 0, str(error.errno)))
        try:
            matched = self._get(to, bits, source, body, RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH)
        except OSError:
            matched = whole
        _, length, _, _, _, _, _, kind, _ = RTMSG.unpack_from(whole)
        _, net_length, *_ = RTMSG.unpack_from(matched)
        found, entry = attributes(whole, RTMSG.size), attributes(matched, RTMSG.size)
        net = f"{ip_address(entry[RTA_DST])}/{net_length}" if RTA_DST in entry else "default"
        return RouteAnswer(
            to,
            TYPES.get(kind, str(kind)),
            self._links.get(number(found.get(RTA_OIF, b"")), ""),
            _gateway(found),
            ip_address(found[RTA_PREFSRC]) if RTA_PREFSRC in found else None,
            net.removesuffix(f"/{bits}") if length else net,
            number(entry.get(RTA_TABLE, b"")) or RT_TABLE_MAIN,
        )

    def _get(
        self, to: IPAddress, bits: int, source: IPAddress | None, body: bytes, flags: int
    ) -> bytes:
        head = RTMSG.pack(FAMILIES[to.version], bits, bits if source else 0, 0, 0, 0, 0, 0, flags)
        return self._route.get(RTM_GETROUTE, head + body)

    # -- forwarding ---------------------------------------------------------------

    def fdb(self) -> list[FdbEntry]:
        """The forwarding tables of all bridges and VXLAN links.

        Not the multicast addresses that each link listens to.
        """
        return [
            entry
            for payload in self._route.dump(RTM_GETNEIGH, NDMSG.pack(socket.AF_BRIDGE, 0, 0, 0, 0))
            if (entry := self._entry(payload)) is not None
        ]

    def _entry(self, payload: bytes) -> FdbEntry | None:
        family, index, state, _, _ = NDMSG.unpack_from(payload)
        found = attributes(payload, NDMSG.size)
        known = NDA_LLADDR in found and (NDA_DST in found or NDA_MASTER in found)
        if family != socket.AF_BRIDGE or not known:
            return None
        return FdbEntry(
            found[NDA_LLADDR].hex(":"),
            self._links.get(index, ""),
            self._links.get(number(found.get(NDA_MASTER, b"")), ""),
            ip_address(found[NDA_DST]) if NDA_DST in found else None,
            number(found.get(NDA_VLAN, b"")),
            bool(state & NUD_PERMANENT),
        )

    @cached_property
    def _links(self) -> dict[int, str]:
        """Links' names by their indices."""
        with entered(self.place.ns):
            return dict(socket.if_nameindex())

    # -- settings, connections, listeners, counters --------------------------------

    def setting(self, name: str) -> str:
        """A sysctl's value, as net/ipv4/ip_forward; empty where there is none of that name."""
        with entered(self.place.ns):
            return sysctl.read(name) or ""

    def tracked(self, flow: Flow) -> list[ConntrackEntry]:
        """Read connection tracking's entries of a flow.

        The kernel walks its whole table for it, some 9 ms. A kernel without connection tracking has
        no entries.

        Raises:
            KernelRefused: the kernel refused the dump.
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
        return [
            entry
            for entry in entries
            if entry.is_of(flow.protocol, flow.version) and _token(entry) == flow.token
        ]

    def listeners(self, protocol: str) -> list[Listener]:
        """List the sockets that wait for packets.

        Args:
            protocol: "tcp", "udp" or "sctp".

        Raises:
            KernelRefused: this kernel does not list them (INET_DIAG).
        """
        with entered(self.place.ns):
            return listeners.all_of(protocol)

    def counters(self) -> dict[str, int]:
        """Read the network stack's counters, by group and name, as "TcpExt.IPReversePathFilter"."""
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
    """Meaning of a refused lookup, in words; empty for a route."""
    return (
        f"the route says {answer.type}"
        if answer.error and answer.type
        else MEANINGS.get(answer.error, answer.error)
    )


def moved(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Counters that differ between two readings, each with its increase."""
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0)
    }


def _gateway(found: Mapping[int, bytes]) -> IPAddress | None:
    if RTA_GATEWAY in found:
        return ip_address(found[RTA_GATEWAY])
    # IPv4 by way of an IPv6 neighbour: struct rtvia begins with the family.
    return ip_address(found[RTA_VIA][2:]) if RTA_VIA in found else None


def _token(entry: ConntrackEntry) -> int:
    """The client's port, or an echo's identifier."""
    return entry.way.sport or entry.way.icmp_id


def _pairs(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Counters from pairs of lines: "Ip: Forwarding DefaultTTL …", then "Ip: 1 64 …"."""
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
