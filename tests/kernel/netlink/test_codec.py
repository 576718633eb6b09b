"""Our bytes beside pyroute2's: each kind of message that is written or read by hand.

pyroute2 leaves out the flag NLA_F_NESTED of most nests; the kernel takes both. So it does not
count."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2.netlink import genlmsg
from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg
from pyroute2.netlink.nfnetlink.nftsocket import nft_chain_msg, nft_rule_msg, nft_table_msg
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from plumb.kernel.capture import nftrace_rules
from plumb.kernel.capture.flow_filter import Asked
from plumb.kernel.netlink import codec, ctnetlink
from plumb.kernel.netlink.codec import (
    attribute,
    attribute_u16,
    attribute_u32,
    attributes,
    be_number,
    nest,
    number,
    text,
)
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi import linux_rtnetlink as rt
from plumb.kernel.netlink.uapi.linux_genetlink import (
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    GENLMSGHDR,
)
from plumb.kernel.netlink.uapi.linux_netfilter import CTA_TUPLE_ORIG, NFGENMSG
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE, NLA_F_NESTED, NLATTR, NLMSGHDR
from plumb.model.observations import Flow
from tests.labs import Lab, sh

V4, V6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def made(kind: type[Any], attrs: list[Any], **fields: Any) -> bytes:
    """What pyroute2 makes of a message."""
    body = kind()
    for name, value in fields.items():
        body[name] = value
    body["attrs"] = attrs
    body.encode()
    return bytes(body.data[NLMSGHDR.size :])


def plain(data: bytes, at: int) -> list[Any]:
    """A message's attributes without NLA_F_NESTED, in their order; those of nests likewise."""
    found: list[Any] = [data[:at]]
    while at + NLATTR.size <= len(data):
        length, kind = NLATTR.unpack_from(data, at)
        value = data[at + NLATTR.size : at + length]
        found.append((kind & ~NLA_F_NESTED, plain(value, 0) if nested(value) else value))
        at += (length + 3) & ~3
    return found


def nested(value: bytes) -> bool:
    """Whether bytes are attributes, one behind the other to the end."""
    at = 0
    while at + NLATTR.size <= len(value):
        length, kind = NLATTR.unpack_from(value, at)
        if length < NLATTR.size or not 0 < kind & ~NLA_F_NESTED < 64 or at + length > len(value):
            return False
        at += (length + 3) & ~3
    return at == len(value) > 0


LINK = (
    rt.IFINFOMSG.pack(0, 0, 0, 0, 0)
    + attribute(rt.IFLA_IFNAME, "ipv0")
    + attribute_u32(rt.IFLA_LINK, 7)
    + nest(
        rt.IFLA_LINKINFO,
        attribute(rt.IFLA_INFO_KIND, "ipvlan"),
        nest(rt.IFLA_INFO_DATA, attribute_u16(rt.IFLA_IPVLAN_MODE, rt.IPVLAN_MODE_L3)),
    )
)
ROUTE = (
    rt.RTMSG.pack(socket.AF_INET, 32, 32, 0, 0, 0, 0, 0, rt.RTM_F_LOOKUP_TABLE)
    + attribute(rt.RTA_DST, V4.packed)
    + attribute(rt.RTA_SRC, V4.packed)
    + attribute_u32(rt.RTA_IIF, 3)
    + attribute_u32(rt.RTA_MARK, 9)
)
NEIGHBOUR = rt.NDMSG.pack(socket.AF_INET6, 4, 0, 0, 0) + attribute(rt.NDA_DST, V6.packed)
SNAPSHOT = bytes(rt.IFINFOMSG.size) + attribute_u32(rt.IFLA_EXT_MASK, rt.RTEXT_FILTER_SKIP_STATS)
NSID = rt.RTGENMSG.pack(socket.AF_UNSPEC) + attribute_u32(rt.NETNSA_FD, 5)
CONTROLLER = GENLMSGHDR.pack(CTRL_CMD_GETFAMILY, 1) + attribute(CTRL_ATTR_FAMILY_NAME, "NET_DM")


@pytest.mark.parametrize(
    ("ours", "theirs", "head"),
    [
        pytest.param(
            LINK,
            made(
                ifinfmsg,
                [
                    ("IFLA_IFNAME", "ipv0"),
                    ("IFLA_LINK", 7),
                    (
                        "IFLA_LINKINFO",
                        {
                            "attrs": [
                                ("IFLA_INFO_KIND", "ipvlan"),
                                ("IFLA_INFO_DATA", {"attrs": [("IFLA_IPVLAN_MODE", 1)]}),
                            ]
                        },
                    ),
                ],
            ),
            rt.IFINFOMSG.size,
            id="RTM_NEWLINK",
        ),
        pytest.param(
            SNAPSHOT, made(ifinfmsg, [("IFLA_EXT_MASK", 8)]), rt.IFINFOMSG.size, id="RTM_GETLINK"
        ),
        pytest.param(
            ROUTE,
            made(
                rtmsg,
                [("RTA_DST", str(V4)), ("RTA_SRC", str(V4)), ("RTA_IIF", 3), ("RTA_MARK", 9)],
                family=socket.AF_INET,
                dst_len=32,
                src_len=32,
                flags=0x1000,
            ),
            rt.RTMSG.size,
            id="RTM_GETROUTE",
        ),
        pytest.param(
            NEIGHBOUR,
            made(ndmsg, [("NDA_DST", str(V6))], family=socket.AF_INET6, ifindex=4),
            rt.NDMSG.size,
            id="RTM_DELNEIGH",
        ),
        pytest.param(NSID, made(nsidmsg, [("NETNSA_FD", 5)]), rt.RTGENMSG.size, id="RTM_GETNSID"),
        pytest.param(rt.IFADDRMSG.pack(0, 0, 0, 0, 0), made(ifaddrmsg, []), 8, id="RTM_GETADDR"),
        pytest.param(bytes(rt.FIB_RULE_HDR.size), made(fibmsg, []), 12, id="RTM_GETRULE"),
    ],
)
def test_a_request_has_pyroute2s_bytes(ours: bytes, theirs: bytes, head: int) -> None:
    """All of them, in the same order."""
    assert plain(ours, head) == plain(theirs, head)


def test_a_generic_command_has_pyroute2s_header() -> None:
    """Command and version, then attributes."""
    assert CONTROLLER[: GENLMSGHDR.size] == made(genlmsg, [], cmd=CTRL_CMD_GETFAMILY, version=1)
    assert CONTROLLER[GENLMSGHDR.size :] == b"\x0b\0\x02\0NET_DM\0\0"


def decoded(kind: type[Any], payload: bytes) -> Any:
    """What pyroute2 reads in a message."""
    found = kind(codec.message(0, 0, 0, payload))
    found.decode()
    return found


def test_a_triggers_table_is_read_by_pyroute2_as_it_is_meant() -> None:
    """Table, chains and rules of nf_tables."""
    flow = Flow(4, "tcp", 40000)
    table, chain, rule, *_ = nftrace_rules.table(1, "plumb-trace-x", flow, Asked())
    assert decoded(nft_table_msg, table.body).get_attr("NFTA_TABLE_NAME") == "plumb-trace-x"
    found = decoded(nft_chain_msg, chain.body)
    assert (found["nfgen_family"], found["version"], found["res_id"]) == (1, 0, 0)
    assert found.get_attr("NFTA_CHAIN_NAME") == "prerouting"
    assert found.get_attr("NFTA_CHAIN_TYPE") == "filter"
    hook = found.get_attr("NFTA_CHAIN_HOOK")
    assert (hook.get_attr("NFTA_HOOK_HOOKNUM"), hook.get_attr("NFTA_HOOK_PRIORITY")) == (0, -350)
    expressions = decoded(nft_rule_msg, rule.body).get_attr("NFTA_RULE_EXPRESSIONS")
    assert [each.get_attr("NFTA_EXPR_NAME") for each in expressions] == [
        *("meta", "cmp", "meta", "cmp", "payload", "cmp", "immediate", "meta")
    ]


def test_a_tracked_connection_is_named_as_pyroute2_reads_it() -> None:
    """The filter of a dump: a tuple of port and address."""
    wanted = ctnetlink.came_in_for("udp", 53, V4, 4)
    found = decoded(nfct_msg, NFGENMSG.pack(socket.AF_INET, 0, 0) + wanted)
    asked = found.get_attr("CTA_TUPLE_ORIG")
    assert asked.get_attr("CTA_TUPLE_IP").get_attr("CTA_IP_V4_DST") == str(V4)
    proto = asked.get_attr("CTA_TUPLE_PROTO")
    assert (proto.get_attr("CTA_PROTO_NUM"), proto.get_attr("CTA_PROTO_DST_PORT")) == (17, 53)
    assert be_number(b"\0\x35") == 53
    assert CTA_TUPLE_ORIG in attributes(wanted)


@pytest.fixture
def furnished(lab: Lab) -> None:
    """Links, addresses, routes, neighbours and rules to list."""
    sh("""ip link set lo up; ip link add br0 type bridge; ip link add v0 type veth peer name v1
        ip link set v0 master br0 mtu 1400 up; ip link set v1 up; ip link set br0 up
        ip addr add 192.0.2.1/24 dev br0; ip -6 addr add 2001:db8::1/64 dev br0 nodad
        ip route add 198.51.100.0/24 via 192.0.2.7 metric 9
        ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev br0""")


DUMPS: dict[str, tuple[int, int, type[Any], dict[str, tuple[int, Any]]]] = {
    "links": (
        rt.RTM_GETLINK,
        rt.IFINFOMSG.size,
        ifinfmsg,
        {
            "IFLA_IFNAME": (rt.IFLA_IFNAME, text),
            "IFLA_MTU": (rt.IFLA_MTU, number),
            "IFLA_MASTER": (rt.IFLA_MASTER, number),
            "IFLA_ADDRESS": (rt.IFLA_ADDRESS, lambda value: value.hex(":")),
        },
    ),
    "addresses": (
        rt.RTM_GETADDR,
        rt.IFADDRMSG.size,
        ifaddrmsg,
        {
            "IFA_ADDRESS": (rt.IFA_ADDRESS, lambda value: str(ip_address(value))),
            "IFA_FLAGS": (rt.IFA_FLAGS, number),
        },
    ),
    "routes": (
        rt.RTM_GETROUTE,
        rt.RTMSG.size,
        rtmsg,
        {
            "RTA_DST": (rt.RTA_DST, lambda value: str(ip_address(value))),
            "RTA_GATEWAY": (rt.RTA_GATEWAY, lambda value: str(ip_address(value))),
            "RTA_OIF": (rt.RTA_OIF, number),
            "RTA_PRIORITY": (rt.RTA_PRIORITY, number),
            "RTA_TABLE": (rt.RTA_TABLE, number),
        },
    ),
    "neighbours": (
        rt.RTM_GETNEIGH,
        rt.NDMSG.size,
        ndmsg,
        {
            "NDA_DST": (rt.NDA_DST, lambda value: str(ip_address(value))),
            "NDA_LLADDR": (rt.NDA_LLADDR, lambda value: value.hex(":")),
        },
    ),
    "rules": (
        rt.RTM_GETRULE,
        rt.FIB_RULE_HDR.size,
        fibmsg,
        {"FRA_PRIORITY": (rt.FRA_PRIORITY, number), "FRA_TABLE": (rt.FRA_TABLE, number)},
    ),
}


@pytest.mark.parametrize("what", DUMPS)
def test_a_dump_says_to_us_what_it_says_to_pyroute2(what: str, furnished: None) -> None:
    """Each attribute that we read, of each object that the kernel lists."""
    kind, head, theirs, names = DUMPS[what]
    with Connection(NETLINK_ROUTE) as kernel:
        try:
            found = kernel.dump(kind, bytes(head))
        except OSError as error:
            pytest.skip(f"this kernel lists no {what}: {error}")
    assert found
    for payload in found:
        read, mine = decoded(theirs, payload), attributes(payload, head)
        for name, (number_, reads) in names.items():
            value = reads(mine[number_]) if number_ in mine else None
            assert read.get_attr(name) == value, (name, read)
