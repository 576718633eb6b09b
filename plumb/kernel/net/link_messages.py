"""Things as messages of rtnetlink: what makes a link, an address, a route; what takes it away.

What brings it into another state.

All of them are for a socket in the host's namespace, or in the thing's own, but for a link that is
moved (macvlan, ipvlan, VXLAN): it is made in the host, and changed and taken away in its own
namespace. Those of VXLAN are in vxlan.py.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import singledispatch

from plumb.address import family
from plumb.kernel.net.namespace_state import MODE_NUMBERS
from plumb.kernel.netlink.codec import (
    Request,
    attribute,
    attribute_u8,
    attribute_u16,
    attribute_u32,
    nest,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFA_ADDRESS,
    IFA_BROADCAST,
    IFA_F_NODAD,
    IFA_LOCAL,
    IFADDRMSG,
    IFF_UP,
    IFINFOMSG,
    IFLA_ADDRESS,
    IFLA_BR_VLAN_DEFAULT_PVID,
    IFLA_BRPORT_MODE,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_IPVLAN_FLAGS,
    IFLA_IPVLAN_MODE,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MACVLAN_MODE,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_VLAN_ID,
    IPVLAN_F_PRIVATE,
    IPVLAN_F_VEPA,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTMSG,
    RTN_UNICAST,
    RTPROT_BOOT,
    VETH_INFO_PEER,
)
from plumb.things import Thing
from plumb.things.layer3 import Address, Route
from plumb.things.links import (
    Bridge,
    Dummy,
    InPlace,
    Ipvlan,
    LinkAddress,
    Macvlan,
    Master,
    Moved,
    OnParent,
    Up,
    Veth,
    Vlan,
)

NEW = NLM_F_CREATE | NLM_F_EXCL
IPVLAN_FLAGS = {"bridge": 0, "private": IPVLAN_F_PRIVATE, "vepa": IPVLAN_F_VEPA}
NetnsFd = Callable[[str], int]


def index(dev: str) -> int:
    """A link's index in the calling thread's namespace.

    Raises:
        OSError: ENODEV, there is no such link.
    """
    return socket.if_nametoindex(dev)


def link(name: str, *attributes: bytes, up: bool | None = None, number: int = 0) -> bytes:
    """A link message about the link of that name.

    Args:
        up: whether it is to be up; None: as it is.
        number: its index, where it gets this name or this index.
    """
    flags, change = (0, 0) if up is None else (IFF_UP if up else 0, IFF_UP)
    head = IFINFOMSG.pack(socket.AF_UNSPEC, 0, number, flags, change)
    return head + attribute(IFLA_IFNAME, name) + b"".join(attributes)


def mac_address(text: str) -> bytes:
    """A MAC address as the kernel has it."""
    return bytes.fromhex(text.replace(":", ""))


def _mac(text: str) -> bytes:
    return attribute(IFLA_ADDRESS, mac_address(text))


def _mtu(mtu: int | None) -> list[bytes]:
    return [attribute_u32(IFLA_MTU, mtu)] if mtu else []


def _master(bridge: str) -> bytes:
    return attribute_u32(IFLA_MASTER, index(bridge) if bridge else 0)


def marked(name: str, *attributes: bytes) -> Request:
    """The message that marks a new link as plumb's; the kernel takes no alias at birth."""
    return Request(RTM_NEWLINK, 0, link(name, attribute(IFLA_IFALIAS, "plumb"), *attributes))


# -- things as messages -------------------------------------------------------


@singledispatch
def adding(thing: Thing, descriptor: NetnsFd) -> list[Request]:
    """The messages that make a thing."""
    raise NotImplementedError(type(thing))


@adding.register
def add_bridge(thing: Bridge, descriptor: NetnsFd) -> list[Request]:
    made = [Request(RTM_NEWLINK, NEW, link(thing.name, _mac(thing.mac), _bridge_info(thing)))]
    # An MTU that is set, rather than given at birth, stays: the kernel would follow the ports'
    # smallest.
    mtu = _mtu(thing.mtu)
    if thing.ns:  # the namespace file says whose link it is
        return [*made, Request(RTM_NEWLINK, 0, link(thing.name, *mtu))]
    return [*made, marked(thing.name, *mtu)]


def _bridge_info(thing: Bridge) -> bytes:
    """A kernel without CONFIG_BRIDGE_VLAN_FILTERING passes over the default VLAN."""
    if thing.default_pvid is None:
        return info("bridge")
    return info("bridge", attribute_u16(IFLA_BR_VLAN_DEFAULT_PVID, thing.default_pvid))


@adding.register
def add_veth(thing: Veth, descriptor: NetnsFd) -> list[Request]:
    number = _high_index() if thing.ns else 0  # where the kernel counts from 1, as on the host
    peer = link(
        thing.peer,
        _mac(thing.peer_mac),
        *_mtu(thing.mtu),
        attribute_u32(IFLA_NET_NS_FD, descriptor(thing.peer_ns)),
        number=number + 1 if number else 0,
    )
    body = link(
        thing.name,
        _master(thing.master),
        *_mtu(thing.mtu),
        info("veth", attribute(VETH_INFO_PEER, peer)),
        up=thing.up,
        number=number,
    )
    return [Request(RTM_NEWLINK, NEW, body), *(_hairpin(thing) if thing.hairpin else [])]


def _high_index() -> int:
    """An index that no link of the host has: or "eth0@if2" in a container would be taken for it."""
    return 1 << 30 | int.from_bytes(os.urandom(4)) >> 2 & ~1


def _hairpin(thing: Veth) -> list[Request]:
    """A bridge port's own settings go to the port, which is there only once the link is."""
    data = nest(IFLA_INFO_SLAVE_DATA, attribute_u8(IFLA_BRPORT_MODE, thing.hairpin))
    port = nest(IFLA_LINKINFO, attribute(IFLA_INFO_SLAVE_KIND, "bridge"), data)
    return [Request(RTM_NEWLINK, 0, link(thing.name, port))]


@adding.register
def add_dummy(thing: Dummy, descriptor: NetnsFd) -> list[Request]:
    return [Request(RTM_NEWLINK, NEW, link(thing.name, info("dummy"))), marked(thing.name)]


@adding.register
def add_vlan(thing: Vlan, descriptor: NetnsFd) -> list[Request]:
    parent = attribute_u32(IFLA_LINK, index(thing.parent))
    return [
        Request(
            RTM_NEWLINK,
            NEW,
            link(thing.name, parent, info("vlan", attribute_u16(IFLA_VLAN_ID, thing.id))),
        ),
        marked(thing.name),
    ]


def info(kind: str, *data: bytes) -> bytes:
    """The attribute IFLA_LINKINFO: a link's kind, and the attributes of that kind."""
    more = [nest(IFLA_INFO_DATA, *data)] if data else []
    return nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind), *more)


def own_info(thing: OnParent) -> bytes:
    """The same of a link on a parent."""
    if isinstance(thing, Macvlan):
        return info(
            "macvlan", attribute_u32(IFLA_MACVLAN_MODE, MODE_NUMBERS["macvlan"][thing.mode])
        )
    assert isinstance(thing, Ipvlan)
    return info(
        "ipvlan",
        attribute_u16(IFLA_IPVLAN_MODE, MODE_NUMBERS["ipvlan"][thing.mode]),
        attribute_u16(IFLA_IPVLAN_FLAGS, IPVLAN_FLAGS[thing.flag]),
    )


@adding.register(Macvlan)
@adding.register(Ipvlan)
def add_link_on_parent(thing: OnParent, descriptor: NetnsFd) -> list[Request]:
    own = [_mac(thing.mac)] if isinstance(thing, Macvlan) else []
    place = [
        attribute_u32(IFLA_LINK, index(thing.parent)),
        attribute_u32(IFLA_NET_NS_FD, descriptor(thing.ns)),
    ]
    return [Request(RTM_NEWLINK, NEW, link(thing.born, *own, *place, own_info(thing)))]


def settling(thing: Moved) -> list[Request]:
    """Requests from within its own namespace: the link's name.

    And the MAC of a passthru link, which the kernel creates with its parent's.
    """
    own = [_mac(thing.mac)] if isinstance(thing, Macvlan) and thing.mode == "passthru" else []
    return [Request(RTM_NEWLINK, 0, link(thing.name, *own, number=index(thing.born)))]


def removing_newborn(thing: Moved) -> list[Request]:
    """Requests from within its own namespace that take away a link which has no name yet."""
    return [Request(RTM_DELLINK, 0, link(thing.born))]


@adding.register
def add_master(thing: Master, descriptor: NetnsFd) -> list[Request]:
    return set_master(thing)


def set_master(thing: Master) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.dev, _master(thing.bridge)))]


@adding.register
def add_up(thing: Up, descriptor: NetnsFd) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.dev, up=True))]


@adding.register
def add_link_address(thing: LinkAddress, descriptor: NetnsFd) -> list[Request]:
    return set_link_address(thing)


def set_link_address(thing: LinkAddress) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.dev, _mac(thing.mac)))]


@adding.register
def add_address(thing: Address, descriptor: NetnsFd) -> list[Request]:
    return [Request(RTM_NEWADDR, NEW, address(thing))]


@adding.register
def add_route(thing: Route, descriptor: NetnsFd) -> list[Request]:
    return [Request(RTM_NEWROUTE, NEW, route(thing))]


@singledispatch
def removing(thing: Thing) -> list[Request]:
    """The messages that take a thing away."""
    raise NotImplementedError(type(thing))


@removing.register(Bridge)
@removing.register(Veth)
@removing.register(Dummy)
@removing.register(Vlan)
@removing.register(Macvlan)
@removing.register(Ipvlan)
def remove_link(thing: InPlace | Moved) -> list[Request]:
    return [Request(RTM_DELLINK, 0, link(thing.name))]


@removing.register
def remove_master(thing: Master) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.dev, _master("")))]


@removing.register
def remove_up(thing: Up) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.dev, up=False))]


@removing.register
def remove_link_address(thing: LinkAddress) -> list[Request]:
    return []


@removing.register
def remove_address(thing: Address) -> list[Request]:
    return [Request(RTM_DELADDR, 0, address(thing))]


@removing.register
def remove_route(thing: Route) -> list[Request]:
    return [Request(RTM_DELROUTE, 0, route(thing))]


@singledispatch
def changing(thing: Thing) -> list[Request]:
    """The messages that bring a thing which is there into this state."""
    raise NotImplementedError(type(thing))


@changing.register
def change_bridge(thing: Bridge) -> list[Request]:
    pvid = [] if thing.default_pvid is None else [_bridge_info(thing)]
    body = link(thing.name, *_mtu(thing.mtu or 1500), _mac(thing.mac), *pvid)
    return [Request(RTM_NEWLINK, 0, body)]


changing.register(Master, set_master)
changing.register(LinkAddress, set_link_address)


@changing.register
def change_veth(thing: Veth) -> list[Request]:
    attributes = (_master(thing.master), *_mtu(thing.mtu or 1500))
    port = _hairpin(thing) if thing.master else []
    return [Request(RTM_NEWLINK, 0, link(thing.name, *attributes, up=thing.up)), *port]


@changing.register
def change_macvlan(thing: Macvlan) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.name, _mac(thing.mac), own_info(thing)))]


@changing.register
def change_ipvlan(thing: Ipvlan) -> list[Request]:
    return [Request(RTM_NEWLINK, 0, link(thing.name, own_info(thing)))]


@changing.register
def change_route(thing: Route) -> list[Request]:
    return [Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route(thing))]


def address(thing: Address) -> bytes:
    """An address message."""
    ip, prefix = thing.ip, thing.ip.network.prefixlen
    flags = IFA_F_NODAD if ip.version == 6 else 0
    own = attribute(IFA_LOCAL, ip.packed) + attribute(IFA_ADDRESS, ip.packed)
    if ip.version == 4 and prefix < 31:
        own += attribute(IFA_BROADCAST, ip.network.broadcast_address.packed)
    return IFADDRMSG.pack(family(ip.version), prefix, flags, 0, index(thing.dev)) + own


def route(thing: Route) -> bytes:
    """A route message; `proto boot`, as for what is typed by hand."""
    dst, on_link = thing.dst, thing.via is None and thing.dst.version == 4
    scope = RT_SCOPE_LINK if on_link else RT_SCOPE_UNIVERSE
    kind = (RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST)
    body = RTMSG.pack(family(dst.version), dst.prefixlen, 0, 0, *kind, 0)
    if thing.via is not None:
        body += attribute(RTA_GATEWAY, thing.via.packed)
    body += attribute_u32(RTA_OIF, index(thing.dev))
    if dst.prefixlen:
        body += attribute(RTA_DST, dst.network_address.packed)
    return body
