"""VXLAN as messages of rtnetlink: links, entries of their forwarding tables, and neighbours.

A link's message goes from the host's namespace, where its UDP socket is to be; all others from
within the link's own namespace.
"""

from __future__ import annotations

import socket

from plumb.address import family
from plumb.frozen import replace
from plumb.kernel.net.link_messages import (
    NetnsFd,
    adding,
    changing,
    index,
    info,
    link,
    remove_link,
    removing,
)
from plumb.kernel.net.namespace_state import LinkReply, NamespaceState
from plumb.kernel.netlink.codec import attribute, be_number
from plumb.kernel.netlink.rtnetlink import Message
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFLA_VXLAN_GROUP6,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_PORT,
    NDA_DST,
    NDA_LLADDR,
    NDMSG,
    NTF_SELF,
    NUD_NOARP,
    NUD_PERMANENT,
    RTM_DELNEIGH,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
)
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan

REPLACE = NLM_F_CREATE | NLM_F_REPLACE

# -- the link ---------------------------------------------------------------


@adding.register
def add_vxlan(thing: Vxlan, descriptor: NetnsFd) -> list[Message]:
    place = (("IFLA_MTU", thing.mtu), ("IFLA_NET_NS_FD", descriptor(thing.ns)))
    return [Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link(thing.born, *place, _own(thing)))]


def _own(thing: Vxlan) -> tuple[str, object]:
    """The parameters with which Docker makes it."""
    flags = ("LEARNING", "PROXY", "L2MISS", "L3MISS", "UDP_CSUM")
    return info(
        "vxlan",
        ("IFLA_VXLAN_ID", thing.id),
        ("IFLA_VXLAN_PORT", thing.port),
        *((f"IFLA_VXLAN_{flag}", 1) for flag in flags),
        *([("IFLA_VXLAN_GROUP6", "::")] if thing.ipv6 else []),
    )


removing.register(Vxlan, remove_link)


@changing.register
def change_vxlan(thing: Vxlan) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.name, ("IFLA_MTU", thing.mtu)))]


def as_vxlan(found: LinkReply, made: Vxlan) -> Vxlan:
    """Read a link's state as a thing."""
    return replace(
        made,
        name=found.name,
        id=found.own(IFLA_VXLAN_ID),
        port=be_number(found.own_bytes(IFLA_VXLAN_PORT)),
        ipv6=bool(found.own_bytes(IFLA_VXLAN_GROUP6)) or made.ipv6,
        mtu=found.mtu,
    )


# -- its entries ---------------------------------------------------------------


@adding.register
def add_fdb_entry(thing: FdbEntry, descriptor: NetnsFd) -> list[Message]:
    return set_fdb_entry(thing)


@changing.register
def set_fdb_entry(thing: FdbEntry) -> list[Message]:
    body = _fdb(thing) + attribute(NDA_DST, thing.vtep.packed)
    return [Message(RTM_NEWNEIGH, REPLACE, body)]


@removing.register
def remove_fdb_entry(thing: FdbEntry) -> list[Message]:
    return [Message(RTM_DELNEIGH, 0, _fdb(thing))]


def _fdb(thing: FdbEntry) -> bytes:
    # NUD_NOARP: it does not age; NUD_PERMANENT: nor does it go when the link goes down.
    state = NUD_NOARP | NUD_PERMANENT
    header = NDMSG.pack(socket.AF_BRIDGE, index(thing.dev), state, NTF_SELF, 0)
    return header + attribute(NDA_LLADDR, _mac(thing.mac))


@adding.register
def add_neighbour(thing: Neighbour, descriptor: NetnsFd) -> list[Message]:
    return set_neighbour(thing)


@changing.register
def set_neighbour(thing: Neighbour) -> list[Message]:
    body = _neighbour(thing) + attribute(NDA_LLADDR, _mac(thing.mac))
    return [Message(RTM_NEWNEIGH, REPLACE, body)]


@removing.register
def remove_neighbour(thing: Neighbour) -> list[Message]:
    return [Message(RTM_DELNEIGH, 0, _neighbour(thing))]


def _neighbour(thing: Neighbour) -> bytes:
    header = NDMSG.pack(family(thing.ip.version), index(thing.dev), NUD_PERMANENT, 0, 0)
    return header + attribute(NDA_DST, thing.ip.packed)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


# -- look ---------------------------------------------------------------


def look_fdb_entry(thing: FdbEntry, state: NamespaceState) -> FdbEntry | None:
    """Read an entry; None where there is none that somebody has written down."""
    vtep = state.fdb(thing.dev).get(thing.mac)
    return replace(thing, vtep=vtep) if vtep is not None else None


def look_neighbour(thing: Neighbour, state: NamespaceState) -> Neighbour | None:
    """Read a neighbour; None where there is none that somebody has written down."""
    mac = state.permanent_neighbours(thing.dev, thing.ip.version).get(thing.ip)
    return replace(thing, mac=mac) if mac is not None else None
