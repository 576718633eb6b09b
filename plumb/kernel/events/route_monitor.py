"""Monitor of links, addresses and routes of a network namespace, as `ip monitor` has it.

The kernel tells of each change by rtnetlink (RTM_NEWLINK, RTM_DELADDR, …) to the sockets that have
joined the groups for it (rtnetlink(7)). A change of a link that alters nothing of what is told here
is left out, and so are routes of the table local, of which each address has some.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from plumb.kernel.netlink.codec import attributes, messages, number, text
from plumb.kernel.netlink.connection import subscribed
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFA_ADDRESS,
    IFA_LOCAL,
    IFADDRMSG,
    IFF_LOWER_UP,
    IFF_UP,
    IFINFOMSG,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_TABLE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_F_CLONED,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTMSG,
    RTN_UNICAST,
)
from plumb.model.lifecycle.events import Event

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE = 0x1, 0x10, 0x40  # linux/rtnetlink.h
RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE = 0x100, 0x400
GROUPS = (
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
)
AF_BRIDGE = 7
BUFFER = 8 << 20
"""Bytes of messages that wait to be read."""
ROOM = 1 << 16


class RouteMonitor:
    """Changes of the namespace that the calling thread is in when it is made.

    Raises:
        OSError: the kernel gives no such socket.
    """

    def __init__(self) -> None:
        self._socket = subscribed(NETLINK_ROUTE, GROUPS, BUFFER)
        self._names = dict(socket.if_nameindex())
        self._links: dict[int, Event] = {}

    def fileno(self) -> int:
        """Descriptor that is readable when there are changes."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def more(self) -> list[Event]:
        """Read the changes that have come."""
        found: list[Event] = []
        while True:
            try:
                data = self._socket.recv(ROOM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found.append(Event("netlink", "overrun", ""))  # more than was read in time
                continue
            for kind, _, _, payload in messages(data):
                found += self._changes(kind, payload)

    def _changes(self, kind: int, payload: bytes) -> Iterator[Event]:
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            yield from self._link(kind, payload)
        elif kind in (RTM_NEWADDR, RTM_DELADDR):
            yield self._address(kind, payload)
        elif kind in (RTM_NEWROUTE, RTM_DELROUTE):
            yield from self._route(kind, payload)

    def _link(self, kind: int, payload: bytes) -> Iterator[Event]:
        family, _, index, flags, _ = IFINFOMSG.unpack_from(payload)
        if family == AF_BRIDGE:  # of a bridge's port, which the link's own message tells too
            return
        found = attributes(payload, IFINFOMSG.size)
        name = text(found[IFLA_IFNAME])
        known = [("mtu", str(number(found[IFLA_MTU])))] if IFLA_MTU in found else []
        kind_of = attributes(found.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND)
        known += [("type", text(kind_of))] if kind_of else []
        master = number(found[IFLA_MASTER]) if IFLA_MASTER in found else 0
        known += [("master", self._name(master))] if master else []
        states = [word for word, bit in FLAGS.items() if flags & bit]
        known += [("flags", ",".join(states))] if states else []
        action = "del" if kind == RTM_DELLINK else "change" if index in self._names else "add"
        self._names[index] = name
        change = Event("link", "change", name, tuple(known))
        if action == "del":
            self._names.pop(index)
            self._links.pop(index, None)
        elif self._links.get(index) == change:
            return
        else:
            self._links[index] = change
        yield Event("link", action, name, tuple(known))

    def _address(self, kind: int, payload: bytes) -> Event:
        _, length, _, _, index = IFADDRMSG.unpack_from(payload)
        found = attributes(payload, IFADDRMSG.size)
        ip = ip_address(found.get(IFA_LOCAL) or found[IFA_ADDRESS])
        action = "add" if kind == RTM_NEWADDR else "del"
        return Event("address", action, f"{ip}/{length}", (("dev", self._name(index)),))

    def _route(self, kind: int, payload: bytes) -> Iterator[Event]:
        _, length, _, _, table, _, _, form, flags = RTMSG.unpack_from(payload)
        found = attributes(payload, RTMSG.size)
        table = number(found[RTA_TABLE]) if RTA_TABLE in found else table
        if form != RTN_UNICAST or table == RT_TABLE_LOCAL or flags & RTM_F_CLONED:
            return
        to = f"{ip_address(found[RTA_DST])}/{length}" if RTA_DST in found else "default"
        known = [("via", str(ip_address(found[RTA_GATEWAY])))] if RTA_GATEWAY in found else []
        known += [("dev", self._name(number(found[RTA_OIF])))] if RTA_OIF in found else []
        known += [("table", str(table))] if table != RT_TABLE_MAIN else []
        yield Event("route", "add" if kind == RTM_NEWROUTE else "del", to, tuple(known))

    def _name(self, index: int) -> str:
        return self._names.get(index, f"if{index}")


FLAGS = {"UP": IFF_UP, "LOWER_UP": IFF_LOWER_UP}
"""Flags of a link that are told, by iproute2's names."""
