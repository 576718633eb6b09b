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
from typing import Any

from plumb.address import family
from plumb.kernel.netlink.rtnetlink import Message, ifaddrmsg, ifinfmsg, rtmsg
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFA_F_NODAD,
    IFF_UP,
    IPVLAN_F_PRIVATE,
    IPVLAN_F_VEPA,
    IPVLAN_MODE_L2,
    IPVLAN_MODE_L3,
    IPVLAN_MODE_L3S,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RT_TABLE_MAIN,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTN_UNICAST,
    RTPROT_BOOT,
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

IPVLAN_MODES = {"l2": IPVLAN_MODE_L2, "l3": IPVLAN_MODE_L3, "l3s": IPVLAN_MODE_L3S}
IPVLAN_FLAGS = {"bridge": 0, "private": IPVLAN_F_PRIVATE, "vepa": IPVLAN_F_VEPA}
NetnsFd = Callable[[str], int]


def index(dev: str) -> int:
    """A link's index in the calling thread's namespace.

    Raises:
        OSError: ENODEV, there is no such link.
    """
    return socket.if_nametoindex(dev)


def link(name: str, *attributes: tuple[str, object], up: bool | None = None) -> Any:
    """A link message about the link of that name."""
    body = ifinfmsg()
    body["attrs"] = [("IFLA_IFNAME", name), *attributes]
    if up is not None:
        body["flags"], body["change"] = (IFF_UP if up else 0), IFF_UP
    return body


def marked(name: str, *attributes: tuple[str, object]) -> Message:
    """The message that marks a new link as plumb's; the kernel takes no alias at birth."""
    return Message(RTM_NEWLINK, 0, link(name, ("IFLA_IFALIAS", "plumb"), *attributes))


# -- things as messages -------------------------------------------------------


@singledispatch
def adding(thing: Thing, descriptor: NetnsFd) -> list[Message]:
    """The messages that make a thing."""
    raise NotImplementedError(type(thing))


@adding.register
def add_bridge(thing: Bridge, descriptor: NetnsFd) -> list[Message]:
    made = [
        Message(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL,
            link(thing.name, ("IFLA_ADDRESS", thing.mac), _bridge_info(thing)),
        )
    ]
    # An MTU that is set, rather than given at birth, stays: the kernel would follow the ports'
    # smallest.
    mtu = [("IFLA_MTU", thing.mtu)] if thing.mtu else []
    if thing.ns:  # the namespace file says whose link it is
        return [*made, Message(RTM_NEWLINK, 0, link(thing.name, *mtu))]
    return [*made, marked(thing.name, *mtu)]


def _bridge_info(thing: Bridge) -> tuple[str, object]:
    """A kernel without CONFIG_BRIDGE_VLAN_FILTERING passes over the default VLAN."""
    if thing.default_pvid is None:
        return info("bridge")
    return info("bridge", ("IFLA_BR_VLAN_DEFAULT_PVID", thing.default_pvid))


@adding.register
def add_veth(thing: Veth, descriptor: NetnsFd) -> list[Message]:
    mtu = [("IFLA_MTU", thing.mtu)] if thing.mtu else []
    peer = {
        "attrs": [
            ("IFLA_IFNAME", thing.peer),
            ("IFLA_ADDRESS", thing.peer_mac),
            *mtu,
            ("IFLA_NET_NS_FD", descriptor(thing.peer_ns)),
        ]
    }
    body = link(
        thing.name,
        ("IFLA_MASTER", index(thing.master)),
        *mtu,
        info("veth", ("VETH_INFO_PEER", peer)),
        up=thing.up,
    )
    if thing.ns:  # where the kernel counts from 1, as it does on the host
        body["index"] = _high_index()
        peer["index"] = body["index"] + 1
    return [
        Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body),
        *(_hairpin(thing) if thing.hairpin else []),
    ]


def _high_index() -> int:
    """An index that no link of the host has: or "eth0@if2" in a container would be taken for it."""
    return 1 << 30 | int.from_bytes(os.urandom(4)) >> 2 & ~1


def _hairpin(thing: Veth) -> list[Message]:
    """A bridge port's own settings go to the port, which is there only once the link is."""
    data = {"attrs": [("IFLA_BRPORT_MODE", int(thing.hairpin))]}
    slave = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", data)]}
    return [Message(RTM_NEWLINK, 0, link(thing.name, ("IFLA_LINKINFO", slave)))]


@adding.register
def add_dummy(thing: Dummy, descriptor: NetnsFd) -> list[Message]:
    return [
        Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link(thing.name, info("dummy"))),
        marked(thing.name),
    ]


@adding.register
def add_vlan(thing: Vlan, descriptor: NetnsFd) -> list[Message]:
    parent = ("IFLA_LINK", index(thing.parent))
    return [
        Message(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL,
            link(thing.name, parent, info("vlan", ("IFLA_VLAN_ID", thing.id))),
        ),
        marked(thing.name),
    ]


def info(kind: str, *data: tuple[str, object]) -> tuple[str, object]:
    """The attribute IFLA_LINKINFO: a link's kind, and the attributes of that kind."""
    more = [("IFLA_INFO_DATA", {"attrs": list(data)})] if data else []
    return "IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *more]}


def own_info(thing: OnParent) -> tuple[str, object]:
    """The same of a link on a parent."""
    if isinstance(thing, Macvlan):
        return info("macvlan", ("IFLA_MACVLAN_MODE", thing.mode))
    assert isinstance(thing, Ipvlan)
    return info(
        "ipvlan",
        ("IFLA_IPVLAN_MODE", IPVLAN_MODES[thing.mode]),
        ("IFLA_IPVLAN_FLAGS", IPVLAN_FLAGS[thing.flag]),
    )


@adding.register(Macvlan)
@adding.register(Ipvlan)
def add_link_on_parent(thing: OnParent, descriptor: NetnsFd) -> list[Message]:
    own = [("IFLA_ADDRESS", thing.mac)] if isinstance(thing, Macvlan) else []
    place = [("IFLA_LINK", index(thing.parent)), ("IFLA_NET_NS_FD", descriptor(thing.ns))]
    return [
        Message(
            RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link(thing.born, *own, *place, own_info(thing))
        )
    ]


def settling(thing: Moved) -> list[Message]:
    """Messages from within its own namespace: the link's name.

    And the MAC of a passthru link, which the kernel creates with its parent's.
    """
    body = link(
        thing.name,
        *(
            [("IFLA_ADDRESS", thing.mac)]
            if isinstance(thing, Macvlan) and thing.mode == "passthru"
            else []
        ),
    )
    body["index"] = index(thing.born)
    return [Message(RTM_NEWLINK, 0, body)]


def removing_newborn(thing: Moved) -> list[Message]:
    """Messages from within its own namespace that take away a link which has no name yet."""
    return [Message(RTM_DELLINK, 0, link(thing.born))]


@adding.register
def add_master(thing: Master, descriptor: NetnsFd) -> list[Message]:
    return set_master(thing)


def set_master(thing: Master) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.dev, ("IFLA_MASTER", index(thing.bridge))))]


@adding.register
def add_up(thing: Up, descriptor: NetnsFd) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.dev, up=True))]


@adding.register
def add_link_address(thing: LinkAddress, descriptor: NetnsFd) -> list[Message]:
    return set_link_address(thing)


def set_link_address(thing: LinkAddress) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.dev, ("IFLA_ADDRESS", thing.mac)))]


@adding.register
def add_address(thing: Address, descriptor: NetnsFd) -> list[Message]:
    return [Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address(thing))]


@adding.register
def add_route(thing: Route, descriptor: NetnsFd) -> list[Message]:
    return [Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route(thing))]


@singledispatch
def removing(thing: Thing) -> list[Message]:
    """The messages that take a thing away."""
    raise NotImplementedError(type(thing))


@removing.register(Bridge)
@removing.register(Veth)
@removing.register(Dummy)
@removing.register(Vlan)
@removing.register(Macvlan)
@removing.register(Ipvlan)
def remove_link(thing: InPlace | Moved) -> list[Message]:
    return [Message(RTM_DELLINK, 0, link(thing.name))]


@removing.register
def remove_master(thing: Master) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.dev, ("IFLA_MASTER", 0)))]


@removing.register
def remove_up(thing: Up) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.dev, up=False))]


@removing.register
def remove_link_address(thing: LinkAddress) -> list[Message]:
    return []


@removing.register
def remove_address(thing: Address) -> list[Message]:
    return [Message(RTM_DELADDR, 0, address(thing))]


@removing.register
def remove_route(thing: Route) -> list[Message]:
    return [Message(RTM_DELROUTE, 0, route(thing))]


@singledispatch
def changing(thing: Thing) -> list[Message]:
    """The messages that bring a thing which is there into this state."""
    raise NotImplementedError(type(thing))


@changing.register
def change_bridge(thing: Bridge) -> list[Message]:
    return [
        Message(
            RTM_NEWLINK,
            0,
            link(
                thing.name,
                ("IFLA_MTU", thing.mtu or 1500),
                ("IFLA_ADDRESS", thing.mac),
                *([] if thing.default_pvid is None else [_bridge_info(thing)]),
            ),
        )
    ]


@changing.register
def change_master(thing: Master) -> list[Message]:
    return set_master(thing)


@changing.register
def change_link_address(thing: LinkAddress) -> list[Message]:
    return set_link_address(thing)


@changing.register
def change_veth(thing: Veth) -> list[Message]:
    attributes = (
        ("IFLA_MASTER", index(thing.master) if thing.master else 0),
        ("IFLA_MTU", thing.mtu or 1500),
    )
    port = _hairpin(thing) if thing.master else []
    return [Message(RTM_NEWLINK, 0, link(thing.name, *attributes, up=thing.up)), *port]


@changing.register
def change_macvlan(thing: Macvlan) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.name, ("IFLA_ADDRESS", thing.mac), own_info(thing)))]


@changing.register
def change_ipvlan(thing: Ipvlan) -> list[Message]:
    return [Message(RTM_NEWLINK, 0, link(thing.name, own_info(thing)))]


@changing.register
def change_route(thing: Route) -> list[Message]:
    return [Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route(thing))]


def address(thing: Address) -> Any:
    """An address message."""
    body = ifaddrmsg()
    ip = thing.ip
    body["family"], body["prefixlen"], body["index"] = (
        family(ip.version),
        ip.network.prefixlen,
        index(thing.dev),
    )
    body["attrs"] = [("IFA_LOCAL", str(ip.ip)), ("IFA_ADDRESS", str(ip.ip))]
    if ip.version == 6:
        body["flags"] = IFA_F_NODAD
    elif ip.network.prefixlen < 31:
        body["attrs"].append(("IFA_BROADCAST", str(ip.network.broadcast_address)))
    return body


def route(thing: Route) -> Any:
    """A route message; `proto boot`, as for what is typed by hand."""
    body = rtmsg()
    body["family"], body["dst_len"], body["table"] = (
        family(thing.dst.version),
        thing.dst.prefixlen,
        RT_TABLE_MAIN,
    )
    on_link = thing.via is None and thing.dst.version == 4
    body["proto"], body["scope"], body["type"] = (
        RTPROT_BOOT,
        RT_SCOPE_LINK if on_link else RT_SCOPE_UNIVERSE,
        RTN_UNICAST,
    )
    body["attrs"] = [
        *([("RTA_GATEWAY", str(thing.via))] if thing.via else []),
        ("RTA_OIF", index(thing.dev)),
    ]
    if thing.dst.prefixlen:
        body["attrs"].append(("RTA_DST", str(thing.dst.network_address)))
    return body
