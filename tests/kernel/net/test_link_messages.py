"""Messages of links, addresses and routes beside pyroute2's, byte for byte.

pyroute2 leaves out the flag NLA_F_NESTED; the kernel takes both."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from plumb.kernel.net import link_messages, vxlan
from plumb.kernel.net.link_messages import adding, changing, removing, settling
from plumb.kernel.netlink.codec import Request
from plumb.things.layer3 import Address, Route
from plumb.things.links import Bridge, Ipvlan, Macvlan, Master, Up, Veth, Vlan
from plumb.things.vxlan import Vxlan
from tests.kernel.netlink.test_codec import made, plain

MAC, INDEX, DESCRIPTOR = "02:42:ac:11:00:02", 7, 5
BRIDGE = Bridge("br0", MAC, mtu=1400, default_pvid=3)
VETH = Veth("v0", "br0", "eth0", "/ns", MAC, mtu=1400, hairpin=True)
MACVLAN = Macvlan(name="eth0", ns="/ns", parent="eth9", born="new", mac=MAC, mode="passthru")
IPVLAN = Ipvlan(name="eth0", ns="/ns", parent="eth9", born="new", mode="l3s", flag="private")
VXLAN = Vxlan("vx", "/ns", "new", 4097, 4789, 1450, ipv6=True)
PEER = [
    ("IFLA_IFNAME", "eth0"),
    ("IFLA_ADDRESS", MAC),
    ("IFLA_MTU", 1400),
    ("IFLA_NET_NS_FD", DESCRIPTOR),
]
PARENT = [("IFLA_LINK", INDEX), ("IFLA_NET_NS_FD", DESCRIPTOR)]


def kind(name: str, *data: tuple[str, object]) -> tuple[str, object]:
    """A link's kind, and the attributes of that kind, as pyroute2 takes them."""
    more = [("IFLA_INFO_DATA", {"attrs": list(data)})] if data else []
    return "IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", name), *more]}


def link(name: str, *attributes: tuple[str, object], **fields: object) -> bytes:
    """A link's message by pyroute2."""
    return made(ifinfmsg, [("IFLA_IFNAME", name), *attributes], **fields)


def address(ip: str, *more: tuple[str, object], **fields: object) -> bytes:
    """An address's message by pyroute2."""
    return made(ifaddrmsg, [("IFA_LOCAL", ip), ("IFA_ADDRESS", ip), *more], index=INDEX, **fields)


def route(*attributes: tuple[str, object], **fields: object) -> bytes:
    """A route's message by pyroute2."""
    return made(rtmsg, list(attributes), table=254, proto=3, type=1, **fields)


HAIRPIN = {
    "attrs": [
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", {"attrs": [("IFLA_BRPORT_MODE", 1)]}),
    ]
}
MESSAGES: list[tuple[Callable[[], list[Request]], list[bytes], int]] = [
    (
        lambda: adding(BRIDGE, number),
        [
            link("br0", ("IFLA_ADDRESS", MAC), kind("bridge", ("IFLA_BR_VLAN_DEFAULT_PVID", 3))),
            link("br0", ("IFLA_IFALIAS", "plumb"), ("IFLA_MTU", 1400)),
        ],
        16,
    ),
    (
        lambda: adding(VETH, number),
        [
            link(
                "v0",
                ("IFLA_MASTER", INDEX),
                ("IFLA_MTU", 1400),
                kind("veth", ("VETH_INFO_PEER", {"attrs": PEER})),
                flags=1,
                change=1,
            ),
            link("v0", ("IFLA_LINKINFO", HAIRPIN)),
        ],
        16,
    ),
    (
        lambda: adding(MACVLAN, number) + settling(MACVLAN),
        [
            link(
                "new",
                ("IFLA_ADDRESS", MAC),
                *PARENT,
                kind("macvlan", ("IFLA_MACVLAN_MODE", "passthru")),
            ),
            link("eth0", ("IFLA_ADDRESS", MAC), index=INDEX),
        ],
        16,
    ),
    (
        lambda: adding(VXLAN, number),
        [
            link(
                "new",
                ("IFLA_MTU", 1450),
                ("IFLA_NET_NS_FD", DESCRIPTOR),
                kind(
                    "vxlan",
                    ("IFLA_VXLAN_ID", 4097),
                    ("IFLA_VXLAN_PORT", 4789),
                    *(
                        (f"IFLA_VXLAN_{flag}", 1)
                        for flag in ("LEARNING", "PROXY", "L2MISS", "L3MISS", "UDP_CSUM")
                    ),
                    ("IFLA_VXLAN_GROUP6", "::"),
                ),
            )
        ],
        16,
    ),
    (
        lambda: adding(Vlan("e.9", "e", 9), number),
        [
            link("e.9", ("IFLA_LINK", INDEX), kind("vlan", ("IFLA_VLAN_ID", 9))),
            link("e.9", ("IFLA_IFALIAS", "plumb")),
        ],
        16,
    ),
    (
        lambda: changing(Master("eth0", "br0")) + removing(Master("eth0", "br0")),
        [link("eth0", ("IFLA_MASTER", INDEX)), link("eth0", ("IFLA_MASTER", 0))],
        16,
    ),
    (
        lambda: adding(Up("eth0"), number) + removing(Up("eth0")),
        [link("eth0", flags=1, change=1), link("eth0", flags=0, change=1)],
        16,
    ),
    (
        lambda: [
            *adding(Address("e", ip_interface("192.0.2.2/24")), number),
            *adding(Address("e", ip_interface("192.0.2.2/32")), number),
            *removing(Address("e", ip_interface("2001:db8::2/64"))),
        ],
        [
            address("192.0.2.2", ("IFA_BROADCAST", "192.0.2.255"), family=2, prefixlen=24),
            address("192.0.2.2", family=2, prefixlen=32),
            address("2001:db8::2", family=10, prefixlen=64, flags=2),
        ],
        8,
    ),
    (
        lambda: [
            *adding(Route(ip_network("0.0.0.0/0"), ip_address("192.0.2.1"), "e"), number),
            *removing(Route(ip_network("192.0.2.0/24"), None, "e")),
            *changing(Route(ip_network("2001:db8::/48"), None, "e")),
        ],
        [
            route(("RTA_GATEWAY", "192.0.2.1"), ("RTA_OIF", INDEX), family=2, scope=0),
            route(
                ("RTA_OIF", INDEX), ("RTA_DST", "192.0.2.0"), family=2, dst_len=24, scope=253
            ),
            route(
                ("RTA_OIF", INDEX), ("RTA_DST", "2001:db8::"), family=10, dst_len=48, scope=0
            ),
        ],
        12,
    ),
]  # fmt: skip


def number(path: str) -> int:
    """The descriptor of every namespace file."""
    return DESCRIPTOR


@pytest.mark.parametrize(("ours", "theirs", "head"), MESSAGES)
def test_what_is_written_has_pyroute2s_bytes(
    ours: Callable[[], list[Request]],
    theirs: list[bytes],
    head: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attribute, in the same order."""

    def index(dev: str) -> int:
        return INDEX

    for module in (link_messages, vxlan):
        monkeypatch.setattr(module, "index", index)
    assert [plain(each.body, head) for each in ours()] == [plain(each, head) for each in theirs]


def test_an_ipvlan_link_has_a_mode_and_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two numbers of 16 bits; pyroute2 does not know the second."""

    def index(dev: str) -> int:
        return INDEX

    monkeypatch.setattr(link_messages, "index", index)
    own: Any = adding(IPVLAN, number)[0].body[-16:]
    assert own == b"\x06\0\x01\0\x02\0\0\0\x06\0\x02\0\x01\0\0\0"
