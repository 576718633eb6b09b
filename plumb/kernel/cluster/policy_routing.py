"""Writer of routing rules and of their tables' routes: messages of rtnetlink."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.kernel.net.namespace_state import name_of
from plumb.kernel.netlink.codec import Request, attribute, attribute_u32, attributes, number
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi import linux_rtnetlink as uapi
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_REPLACE
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.policy_routing import PRIORITY, RoutingRule, TableRoute

GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})
EXACT = 0xFFFFFFFF


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps one after the other.

    Raises:
        StepFailed: the kernel refused one.
    """
    with Connection(NETLINK_ROUTE) as connection:
        for step in steps:
            try:
                connection.change(*_request(step))
            except OSError as error:
                if step.after is not None or error.errno not in GONE:
                    refused = KernelRefused(str(step), error.errno or 0)
                    raise StepFailed(refused, step, done) from error
            done.append(step)


def _request(step: Step) -> Request:
    thing, gone = step.thing, step.after is None
    if isinstance(thing, RoutingRule):
        kind = uapi.RTM_DELRULE if gone else uapi.RTM_NEWRULE
        return Request(kind, 0 if gone else NLM_F_CREATE, _rule(thing))
    assert isinstance(thing, TableRoute)
    kind = uapi.RTM_DELROUTE if gone else uapi.RTM_NEWROUTE
    return Request(kind, 0 if gone else NLM_F_CREATE | NLM_F_REPLACE, _route(thing))


def _rule(thing: RoutingRule) -> bytes:
    head = uapi.FIB_RULE_HDR.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, uapi.FR_ACT_TO_TBL, 0)
    return (
        head
        + attribute_u32(uapi.FRA_TABLE, thing.table)
        + attribute_u32(uapi.FRA_FWMARK, thing.mark)
        + attribute_u32(uapi.FRA_FWMASK, EXACT)
        + attribute_u32(uapi.FRA_PRIORITY, PRIORITY)
    )


def _route(thing: TableRoute) -> bytes:
    try:
        index = socket.if_nametoindex(thing.dev)
    except OSError:
        raise OSError(errno.ENODEV, thing.dev) from None
    head = uapi.RTMSG.pack(
        socket.AF_INET, 0, 0, 0, 0, uapi.RTPROT_BOOT, uapi.RT_SCOPE_UNIVERSE, uapi.RTN_UNICAST, 0
    )
    return (
        head
        + attribute_u32(uapi.RTA_TABLE, thing.table)
        + attribute(uapi.RTA_GATEWAY, thing.via.packed)
        + attribute_u32(uapi.RTA_OIF, index)
    )


# -- look ---------------------------------------------------------------


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read rules and routes; None for one that is not there."""
    with Connection(NETLINK_ROUTE) as connection:
        body = uapi.RTMSG.pack(socket.AF_INET, *(0,) * 8)
        rules = {number(row[uapi.FRA_FWMARK]): row for row in _rules(connection)}
        routes = {}
        for each in connection.dump(uapi.RTM_GETROUTE, body):
            found = attributes(each, uapi.RTMSG.size)
            if uapi.RTA_GATEWAY in found and uapi.RTA_DST not in found:
                routes[number(found[uapi.RTA_TABLE])] = found
    return [_look(thing, rules, routes) for thing in things]


def _rules(connection: Connection) -> list[dict[int, bytes]]:
    body = uapi.FIB_RULE_HDR.pack(socket.AF_INET, *(0,) * 8)
    listed = [
        attributes(each, uapi.FIB_RULE_HDR.size) for each in connection.dump(uapi.RTM_GETRULE, body)
    ]
    return [row for row in listed if uapi.FRA_FWMARK in row]


def _look(
    thing: Thing, rules: dict[int, dict[int, bytes]], routes: dict[int, dict[int, bytes]]
) -> Thing | None:
    if isinstance(thing, RoutingRule):
        rule = rules.get(thing.mark)
        return replace(thing, table=number(rule[uapi.FRA_TABLE])) if rule else None
    assert isinstance(thing, TableRoute)
    route = routes.get(thing.table)
    if route is None:
        return None
    via = type(thing.via)(route[uapi.RTA_GATEWAY])
    return replace(thing, via=via, dev=name_of(number(route[uapi.RTA_OIF])))
