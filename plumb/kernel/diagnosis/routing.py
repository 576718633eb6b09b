"""Routes of all tables, and rules of policy routing, of the calling thread's namespace."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from plumb.address import IPNetwork
from plumb.kernel.netlink.codec import attributes, number, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    FIB_RULE_HDR,
    FIB_RULE_INVERT,
    FR_ACT_TO_TBL,
    FRA_DST,
    FRA_FWMARK,
    FRA_IIFNAME,
    FRA_OIFNAME,
    FRA_PRIORITY,
    FRA_SRC,
    FRA_SUPPRESS_PREFIXLEN,
    FRA_TABLE,
    RT_TABLE_LOCAL,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTM_F_CLONED,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTMSG,
    RTN_BLACKHOLE,
    RTN_PROHIBIT,
    RTN_THROW,
    RTN_UNICAST,
    RTN_UNREACHABLE,
)
from plumb.model.diagnosis.snapshot import PolicyRule, RouteState

TYPES = {
    RTN_UNICAST: "unicast",
    RTN_BLACKHOLE: "blackhole",
    RTN_UNREACHABLE: "unreachable",
    RTN_PROHIBIT: "prohibit",
    RTN_THROW: "throw",
}
VERSIONS = {socket.AF_INET: 4, socket.AF_INET6: 6}
NARROWING = frozenset({FRA_FWMARK, 12, 19, 20, 22, 23, 24})
"""Further conditions (linux/fib_rules.h): marks, tunnels, VRFs, UIDs, protocols and ports."""


def routes(names: Mapping[int, str]) -> list[RouteState]:
    """Read the routes of all tables but local.

    Args:
        names: the links' names by their indices.
    """
    with Connection(NETLINK_ROUTE) as kernel:
        found = (_route(each, names) for each in kernel.dump(RTM_GETROUTE, bytes(RTMSG.size)))
        return [route for route in found if route is not None]


def _route(payload: bytes, names: Mapping[int, str]) -> RouteState | None:
    family, length, _, _, table, protocol, scope, kind, flags = RTMSG.unpack_from(payload)
    said = attributes(payload, RTMSG.size)
    table = number(said[RTA_TABLE]) if RTA_TABLE in said else table
    if table == RT_TABLE_LOCAL or flags & RTM_F_CLONED or kind not in TYPES:
        return None
    if family not in VERSIONS:
        return None
    via = said.get(RTA_GATEWAY)
    return RouteState(
        _network(family, said.get(RTA_DST), length),
        table,
        TYPES[kind],
        names.get(number(said.get(RTA_OIF, b"")), ""),
        ip_address(via) if via else None,
        number(said.get(RTA_PRIORITY, b"")),
        tuple(_rest(said, protocol, scope)),
    )


def _rest(said: Mapping[int, bytes], protocol: int, scope: int) -> Iterator[str]:
    if RTA_PRIORITY in said:
        yield from ("metric", str(number(said[RTA_PRIORITY])))
    yield from ("proto", str(protocol), "scope", str(scope))
    if RTA_PREFSRC in said:
        yield from ("src", str(ip_address(said[RTA_PREFSRC])))


def _network(family: int, packed: bytes | None, length: int) -> IPNetwork:
    whole = packed or bytes(4 if family == socket.AF_INET else 16)
    return ip_network((whole, length), strict=False)


def rules() -> list[PolicyRule]:
    """Read the rules of policy routing; none from a kernel without it."""
    with Connection(NETLINK_ROUTE) as kernel:
        try:
            found = kernel.dump(RTM_GETRULE, bytes(FIB_RULE_HDR.size))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return []
    return sorted(_rules(found), key=lambda rule: (rule.version, rule.priority))


def _rules(found: list[bytes]) -> Iterator[PolicyRule]:
    for payload in found:
        family, dst_length, src_length, tos, table, _, _, action, flags = FIB_RULE_HDR.unpack_from(
            payload
        )
        if family not in VERSIONS:
            continue
        said = attributes(payload, FIB_RULE_HDR.size)
        suppress = said.get(FRA_SUPPRESS_PREFIXLEN)
        yield PolicyRule(
            number(said.get(FRA_PRIORITY, b"")),
            VERSIONS[family],
            (number(said[FRA_TABLE]) if FRA_TABLE in said else table)
            if action == FR_ACT_TO_TBL
            else 0,
            _network(family, said[FRA_SRC], src_length) if FRA_SRC in said else None,
            _network(family, said[FRA_DST], dst_length) if FRA_DST in said else None,
            text(said.get(FRA_IIFNAME, b"")),
            text(said.get(FRA_OIFNAME, b"")),
            bool(tos or NARROWING & said.keys()),
            bool(flags & FIB_RULE_INVERT),
            int.from_bytes(suppress, sys.byteorder, signed=True) if suppress else -1,
        )
