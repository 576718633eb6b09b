"""Inventory of a namespace: links, addresses and neighbours, read with an rtnetlink dump each.

The message of a veth has the index of its peer, and the nsid by which the veth's own namespace
knows the peer's (IFLA_LINK, IFLA_LINK_NETNSID); each namespace has nsids of its own, and
RTM_GETNSID answers with the nsid for an open namespace file. So plumb follows veth pairs from one
namespace into another.

A trace reads a dozen namespaces before it sends the first packet; so plumb takes the few attributes
that it needs out of the messages itself (linux/rtnetlink.h, linux/if_link.h): some 20 µs a link.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_interface
from typing import Protocol, Self

from plumb.address import IPInterface
from plumb.kernel.net.namespace_state import MODES, NO_STATISTICS, NOT_THERE, LinkReply
from plumb.kernel.netlink.codec import attribute, attribute_u32, attributes, number
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    BR_STATE_FORWARDING,
    IFA_ADDRESS,
    IFA_F_PERMANENT,
    IFA_LOCAL,
    IFADDRMSG,
    IFF_LOWER_UP,
    IFINFOMSG,
    IFLA_BRPORT_ISOLATED,
    IFLA_BRPORT_MODE,
    IFLA_BRPORT_STATE,
    IFLA_IFNAME,
    IFLA_IPVLAN_MODE,
    IFLA_MACVLAN_MODE,
    IFLA_TARGET_NETNSID,
    IFLA_VLAN_ID,
    IFLA_VXLAN_ID,
    NDA_DST,
    NDA_LLADDR,
    NDMSG,
    NETNSA_FD,
    NETNSA_NSID,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    RT_SCOPE_UNIVERSE,
    RTGENMSG,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETNSID,
)
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.netns.setns import SELF
from plumb.model.netns_state import Link, Neighbour, Port
from plumb.model.observations import HOST, Netns

OWN = {
    "macvlan": IFLA_MACVLAN_MODE,
    "ipvlan": IFLA_IPVLAN_MODE,
    "vlan": IFLA_VLAN_ID,
    "vxlan": IFLA_VXLAN_ID,
}
"""The attribute of IFLA_INFO_DATA that plumb reads, by kind of link."""
NUD = {
    NUD_INCOMPLETE: "INCOMPLETE",
    NUD_REACHABLE: "REACHABLE",
    NUD_STALE: "STALE",
    NUD_DELAY: "DELAY",
    NUD_PROBE: "PROBE",
    NUD_FAILED: "FAILED",
    NUD_NOARP: "NOARP",
    NUD_PERMANENT: "PERMANENT",
}
ANY_STATE = range(1 << 16)
"""All that a neighbour entry's state can be (ndm_state)."""


class Named(Protocol):
    """A link, by which others of the kernel's messages name it and by its name."""

    @property
    def index(self) -> int: ...

    @property
    def name(self) -> str: ...


class LinkInventory:
    """An rtnetlink socket of a namespace, which stays there wherever the thread goes.

    Raises:
        KernelRefused: there is no such namespace.
    """

    def __init__(self, place: Netns) -> None:
        self.place = place
        with entered(place.ns):
            self._connection = Connection(NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, which keeps the namespace in being."""
        self._connection.close()

    def links(self) -> tuple[Link, ...]:
        """The namespace's links, in the order of their indices."""
        found = map(self._link, self._dumped_links())
        return tuple(sorted(found, key=lambda link: link.index))

    def link_replies(self, names: Collection[str] = ()) -> tuple[LinkReply, ...]:
        """The namespace's links as the kernel tells them, where few of their parts are read.

        Args:
            names: those that are read; all, without any.
        """
        found = map(self._named_link, names) if names else self._dumped_links()
        return tuple(LinkReply.read(payload) for payload in found if payload is not None)

    def _named_link(self, name: str) -> bytes | None:
        body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + NO_STATISTICS
        try:
            return self._connection.get(RTM_GETLINK, body + attribute(IFLA_IFNAME, name))
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    def _dumped_links(self) -> list[bytes]:
        body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + NO_STATISTICS
        return self._connection.dump(RTM_GETLINK, body)

    def addresses(self, links: Sequence[Named]) -> tuple[tuple[str, IPInterface], ...]:
        """The namespace's addresses, with their links' names."""
        return tuple((dev, ip_interface(ip)) for dev, ip, _, _ in self._addresses(links))

    def given_addresses(self, links: Sequence[Named]) -> tuple[tuple[str, IPInterface], ...]:
        """The namespace's addresses that somebody has set, and that hold beyond their link.

        Those that the kernel derives from router advertisements, and DHCP leases, have a lifetime.
        """
        return tuple(
            (dev, ip_interface(ip))
            for dev, ip, flags, scope in self._addresses(links)
            if flags & IFA_F_PERMANENT and scope == RT_SCOPE_UNIVERSE
        )

    def _addresses(
        self, links: Sequence[Named]
    ) -> Iterator[tuple[str, tuple[bytes, int], int, int]]:
        """Yield links' names, their addresses, flags (IFA_F_…) and scopes (RT_SCOPE_…).

        An address is its bytes, and the length of its prefix in bits.
        """
        names = {link.index: link.name for link in links}
        body = IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        for payload in self._connection.dump(RTM_GETADDR, body):
            _, prefix, flags, scope, index = IFADDRMSG.unpack_from(payload)
            reply = attributes(payload, IFADDRMSG.size)
            packed = reply.get(IFA_LOCAL) or reply.get(IFA_ADDRESS)  # the latter without a peer
            if packed:
                yield names.get(index, ""), (packed, prefix), flags, scope

    def neighbours(self, links: Sequence[Named]) -> tuple[Neighbour, ...]:
        """The namespace's neighbour table of IPv4 and IPv6."""
        return self._neighbours(links, ANY_STATE)

    def permanent_neighbours(self, links: Sequence[Named]) -> tuple[Neighbour, ...]:
        """The entries of that table that somebody has set."""
        return self._neighbours(links, (NUD_PERMANENT,))

    def _neighbours(self, links: Sequence[Named], states: Container[int]) -> tuple[Neighbour, ...]:
        names, found = {link.index: link.name for link in links}, []
        body = NDMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        for payload in self._connection.dump(RTM_GETNEIGH, body):
            family, index, state, _, _ = NDMSG.unpack_from(payload)
            if state not in states or family not in (socket.AF_INET, socket.AF_INET6):
                continue
            reply = attributes(payload, NDMSG.size)
            if NDA_DST in reply:
                dev, ip = names.get(index, ""), ip_address(reply[NDA_DST])
                mac = reply.get(NDA_LLADDR, b"").hex(":")
                found.append(Neighbour(dev, ip, mac, NUD.get(state, "NONE")))
        return tuple(found)

    def number_of(self, descriptor: int) -> int | None:
        """The nsid by which this namespace knows another one; None where it has none for it.

        Args:
            descriptor: an open file of the other one.
        """
        body = RTGENMSG.pack(socket.AF_UNSPEC) + attribute_u32(NETNSA_FD, descriptor)
        try:
            found = attributes(self._connection.get(RTM_GETNSID, body), RTGENMSG.size)
        except OSError:
            return None
        nsid = int.from_bytes(found[NETNSA_NSID], sys.byteorder, signed=True)
        return None if nsid < 0 else nsid

    def far_end(self, link: Link) -> Link | None:
        """The other end of a link, in whatever namespace it is; None where that is not told.

        This namespace's nsid for the other one is enough to read it (IFLA_TARGET_NETNSID).
        """
        if not link.peer or link.peer_ns is None:
            return None
        body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, link.peer, 0, 0)
        try:
            return self._link(
                self._connection.get(
                    RTM_GETLINK, body + attribute_u32(IFLA_TARGET_NETNSID, link.peer_ns)
                )
            )
        except OSError:
            return None

    def _link(self, payload: bytes) -> Link:
        found = LinkReply.read(payload)
        kind = found.kind
        own = found.own(OWN[kind]) if kind in OWN else 0
        return Link(
            self.place,
            found.index,
            found.name,
            kind,
            found.mac,
            found.mtu,
            found.up,
            bool(found.flags & IFF_LOWER_UP),
            found.master_index,
            found.parent,
            found.peer_nsid,
            MODES.get(kind, {}).get(own, ""),
            own if kind == "vlan" else 0,
            _port(found),
            own if kind == "vxlan" else 0,
        )


def _port(link: LinkReply) -> Port | None:
    """A link's state as a bridge's port; None where it is none."""
    if not link.is_bridge_port:
        return None
    found = link.port
    state = found.get(IFLA_BRPORT_STATE)
    return Port(
        BR_STATE_FORWARDING if state is None else number(state),
        hairpin=bool(number(found.get(IFLA_BRPORT_MODE, b""))),
        isolated=bool(number(found.get(IFLA_BRPORT_ISOLATED, b""))),
    )


def numbers(
    places: Sequence[LinkInventory], links: Mapping[str, Sequence[Link]]
) -> dict[tuple[str, int], Netns]:
    """Map each namespace's name and an nsid in it to the namespace that the nsid stands for.

    Args:
        links: the links of each namespace, by its name; plumb asks for the nsids in these.
    """
    found: dict[tuple[str, int], Netns] = {}
    wanted = {
        name: {link.peer_ns for link in own if link.peer_ns is not None}
        for name, own in links.items()
    }
    for other in places:
        with suppress(OSError):
            descriptor = os.open(other.place.ns or SELF, os.O_RDONLY | os.O_CLOEXEC)
            try:
                for place in places:
                    if place is other or not (left := wanted[place.place.name]):
                        continue
                    nsid = place.number_of(descriptor)
                    if nsid is not None:
                        found[place.place.name, nsid] = other.place
                        left.discard(nsid)
            finally:
                os.close(descriptor)
    return found


def joined(files: Iterable[str]) -> frozenset[str]:
    """Files of namespaces that share a link with the calling thread's.

    The kernel numbers such a namespace at the latest when the link is shown (IFLA_LINK_NETNSID).
    """
    found = set()
    with LinkInventory(Netns(HOST, "")) as here:
        here.link_replies()
        for path in files:
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if here.number_of(descriptor) is not None:
                        found.add(path)
                finally:
                    os.close(descriptor)
    return frozenset(found)
