"""VXLAN as messages of rtnetlink: links, entries of their forwarding tables, and neighbours.

A link's message goes from the host's namespace, where its UDP socket is to be; all others from
within the link's own namespace.
"""

from __future__ import annotations

import socket

from plumb.address import family
from plumb.frozen import replace
from plumb.kernel.net.link_messages import (
    NEW,
    NetnsFd,
    adding,
    changing,
    index,
    info,
    link,
    mac_address,
    remove_link,
    removing,
)
from plumb.kernel.net.namespace_state import LinkReply, NamespaceState
from plumb.kernel.netlink.codec import (
    Request,
    attribute,
    attribute_be16,
    attribute_u8,
    attribute_u32,
    be_number,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_CREATE, NLM_F_REPLACE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_VXLAN_GROUP6,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_L2MISS,
    IFLA_VXLAN_L3MISS,
    IFLA_VXLAN_LEARNING,
    IFLA_VXLAN_PORT,
    IFLA_VXLAN_PROXY,
    IFLA_VXLAN_UDP_CSUM,
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

FLAGS = (
    IFLA_VXLAN_LEARNING,
    IFLA_VXLAN_PROXY,
    IFLA_VXLAN_L2MISS,
    IFLA_VXLAN_L3MISS,
    IFLA_VXLAN_UDP_CSUM,
)
REPLACE = NLM_F_CREATE | NLM_F_REPLACE

# -- the link ---------------------------------------------------------------


@adding.register
def add_vxlan(thing: Vxlan, descriptor: NetnsFd) -> list[Request]:
    place = (
        attribute_u32(IFLA_MTU, thing.mtu),
        attribute_u32(IFLA_NET_NS_FD, descriptor(thing.ns)),
    )
    return [Request(RTM_NEWLINK, NEW, link(thing.born, *place, _own(thing)))]


def _own(thing: Vxlan) -> bytes:
    """The parameters with which Docker makes it."""
    return info(
        "vxlan",
        attribute_u32(IFLA_VXLAN_ID, thing.id),
        attribute_be16(IFLA_VXLAN_PORT, thing.port),
        *(attribute_u8(flag, 1) for flag in FLAGS),
        *([attribute(IFLA_VXLAN_GROUP6, bytes(16))] if thing.ipv6 else []),
    )


removing.register(Vxlan, remove_link)


@changing.register
def change_vxlan(thing: Vxlan) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.name, attribute_u32(IFLA_MTU, thing.mtu)))]


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
def add_fdb_entry(thing: FdbEntry, descriptor: NetnsFd) -> list[Request]:
    return set_fdb_entry(thing)


@changing.register
def set_fdb_entry(thing: FdbEntry) -> list[Request]:
    body = _fdb(thing) + attribute(NDA_DST, thing.vtep.packed)
    return [Request(RTM_NEWNEIGH, REPLACE, body)]


@removing.register
def remove_fdb_entry(thing: FdbEntry) -> list[Request]:
    return [Request(RTM_DELNEIGH, 0, _fdb(thing))]


def _fdb(thing: FdbEntry) -> bytes:
    # NUD_NOARP: it does not age; NUD_PERMANENT: nor does it go when the link goes down.
    state = NUD_NOARP | NUD_PERMANENT
    header = NDMSG.pack(socket.AF_BRIDGE, index(thing.dev), state, NTF_SELF, 0)
    return header + attribute(NDA_LLADDR, mac_address(thing.mac))


@adding.register
def add_neighbour(thing: Neighbour, descriptor: NetnsFd) -> list[Request]:
    return set_neighbour(thing)


@changing.register
def set_neighbour(thing: Neighbour) -> list[Request]:
    body = _neighbour(thing) + attribute(NDA_LLADDR, mac_address(thing.mac))
    return [Request(RTM_NEWNEIGH, REPLACE, body)]


@removing.register
def remove_neighbour(thing: Neighbour) -> list[Request]:
    return [Request(RTM_DELNEIGH, 0, _neighbour(thing))]


def _neighbour(thing: Neighbour) -> bytes:
    header = NDMSG.pack(family(thing.ip.version), index(thing.dev), NUD_PERMANENT, 0, 0)
    return header + attribute(NDA_DST, thing.ip.packed)


# -- look ---------------------------------------------------------------


def look_fdb_entry(thing: FdbEntry, state: NamespaceState) -> FdbEntry | None:
    """Read an entry; None where there is none that somebody has written down."""
    vtep = state.fdb(thing.dev).get(thing.mac)
    return replace(thing, vtep=vtep) if vtep is not None else None


def look_neighbour(thing: Neighbour, state: NamespaceState) -> Neighbour | None:
    """Read a neighbour; None where there is none that somebody has written down."""
    mac = state.permanent_neighbours(thing.dev, thing.ip.version).get(thing.ip)
    return replace(thing, mac=mac) if mac is not None else None
