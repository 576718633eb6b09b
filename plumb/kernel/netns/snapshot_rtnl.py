"""Links, addresses, routes and rules of a namespace, read in a fraction of a millisecond.

pyroute2's messages are made to be sent; to read everything several times a second, they take too
long. plumb parses the kernel's answers to dumps itself, and keeps of each object only the
attributes that identify it: no counters, no lifetimes, no age.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

from plumb.kernel.netlink.codec import attribute_u32, attributes, number, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    FIB_RULE_HDR,
    FIB_RULE_INVERT,
    FRA_DST,
    FRA_FWMARK,
    FRA_IIFNAME,
    FRA_OIFNAME,
    FRA_PRIORITY,
    FRA_SRC,
    FRA_TABLE,
    IFA_ADDRESS,
    IFA_F_DADFAILED,
    IFA_F_TENTATIVE,
    IFA_FLAGS,
    IFA_LOCAL,
    IFADDRMSG,
    IFF_ALLMULTI,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_PROMISC,
    IFF_UP,
    IFINFOMSG,
    IFLA_ADDRESS,
    IFLA_EXT_MASK,
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
    RTA_PRIORITY,
    RTA_TABLE,
    RTEXT_FILTER_SKIP_STATS,
    RTM_F_CLONED,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTMSG,
    RTN_BLACKHOLE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_PROHIBIT,
    RTN_THROW,
    RTN_UNREACHABLE,
)

FLAGS = {IFF_UP: "UP", IFF_NOARP: "NOARP", IFF_PROMISC: "PROMISC", IFF_ALLMULTI: "ALLMULTI"}
ROUTE_TYPES = {
    RTN_LOCAL: "local",
    RTN_BROADCAST: "broadcast",
    RTN_MULTICAST: "multicast",
    RTN_BLACKHOLE: "blackhole",
    RTN_UNREACHABLE: "unreachable",
    RTN_PROHIBIT: "prohibit",
    RTN_THROW: "throw",
}
Attributes = dict[int, bytes]


def links() -> list[dict[str, Any]]:
    """The links of the calling thread's namespace: name, up, carrier, and usable addresses."""
    found: dict[int, dict[str, Any]] = {}
    with Connection(NETLINK_ROUTE) as kernel:
        for index, flags, said in _links(kernel):
            found[index] = {
                "name": text(said[IFLA_IFNAME]),
                "up": bool(flags & IFF_UP),
                "carrier": bool(flags & IFF_LOWER_UP),
                "addresses": [],
            }
        for family, _, flags, index, said in _addresses(kernel):
            whole = number(said[IFA_FLAGS]) if IFA_FLAGS in said else flags
            if index in found and not whole & (IFA_F_TENTATIVE | IFA_F_DADFAILED):
                found[index]["addresses"].append(_own_ip(family, said))
    return list(found.values())


def layer3() -> dict[str, list[str]]:
    """List links, addresses, routes and rules of the calling thread's namespace.

    A line each, in words like iproute2's.
    """
    with Connection(NETLINK_ROUTE) as kernel:
        found = list(_links(kernel))
        names = {index: text(said[IFLA_IFNAME]) for index, _, said in found}
        return {
            "links": sorted(_link(flags, said, names) for _, flags, said in found),
            "addresses": sorted(
                f"{_own_ip(family, said)}/{prefix} dev {names.get(index, index)}"
                for family, prefix, _, index, said in _addresses(kernel)
            ),
            "routes": sorted(_routes(kernel, names)),
            "rules": sorted(_rules(kernel)),
        }


def _link(flags: int, said: Attributes, names: dict[int, str]) -> str:
    words = [text(said[IFLA_IFNAME]), *(word for bit, word in FLAGS.items() if flags & bit)]
    if IFLA_MTU in said:
        words.append(f"mtu {number(said[IFLA_MTU])}")
    if IFLA_MASTER in said:
        master = number(said[IFLA_MASTER])
        words.append(f"master {names.get(master, master)}")
    if IFLA_ADDRESS in said:
        words.append(said[IFLA_ADDRESS].hex(":"))
    kind = attributes(said.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND)
    return " ".join([*words, text(kind)] if kind else words)


def _routes(kernel: Connection, names: dict[int, str]) -> Iterator[str]:
    for payload in kernel.dump(RTM_GETROUTE, bytes(RTMSG.size)):
        family, dst_len, _, _, table, _, _, kind, flags = RTMSG.unpack_from(payload)
        said = attributes(payload, RTMSG.size)
        table = number(said[RTA_TABLE]) if RTA_TABLE in said else table
        if (
            table == RT_TABLE_LOCAL
            or flags & RTM_F_CLONED
            or kind == RTN_MULTICAST
            or family not in (socket.AF_INET, socket.AF_INET6)
        ):
            continue
        dst = f"{_ip(family, said[RTA_DST])}/{dst_len}" if RTA_DST in said else "default"
        words = [ROUTE_TYPES.get(kind, ""), dst]
        if RTA_GATEWAY in said:
            words.append(f"via {_ip(family, said[RTA_GATEWAY])}")
        if RTA_OIF in said:
            index = number(said[RTA_OIF])
            words.append(f"dev {names.get(index, index)}")
        if RTA_PRIORITY in said:
            words.append(f"metric {number(said[RTA_PRIORITY])}")
        words.append("" if family == socket.AF_INET else "(IPv6)")
        words.append("" if table == RT_TABLE_MAIN else f"table {table}")
        yield " ".join(filter(None, words))


def _rules(kernel: Connection) -> Iterator[str]:
    try:
        found = kernel.dump(RTM_GETRULE, bytes(FIB_RULE_HDR.size))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a kernel without policy routing has no rules
            raise
        return
    for payload in found:
        yield _rule(payload)


def _rule(payload: bytes) -> str:
    header = FIB_RULE_HDR.unpack_from(payload)
    family, dst_len, src_len, _, table, _, _, action, flags = header
    said = attributes(payload, FIB_RULE_HDR.size)
    words = [f"{number(said.get(FRA_PRIORITY, b''))}:"]
    for kind, length, word in ((FRA_SRC, src_len, "from"), (FRA_DST, dst_len, "to")):
        if kind in said:
            words.append(f"{word} {_ip(family, said[kind])}/{length}")
    for kind, word in ((FRA_IIFNAME, "iif"), (FRA_OIFNAME, "oif")):
        if kind in said:
            words.append(f"{word} {text(said[kind])}")
    if FRA_FWMARK in said:
        words.append(f"fwmark {number(said[FRA_FWMARK]):#x}")
    table = number(said[FRA_TABLE]) if FRA_TABLE in said else table
    words += [f"table {table}", f"action {action}", f"flags {flags & FIB_RULE_INVERT}"]
    return " ".join([*words, "(IPv4)" if family == socket.AF_INET else "(IPv6)"])


# -- messages -----------------------------------------------------------------


def _links(kernel: Connection) -> Iterator[tuple[int, int, Attributes]]:
    """Yield index, flags and attributes of links; without counters, half of the answer."""
    body = bytes(IFINFOMSG.size) + attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    for payload in kernel.dump(RTM_GETLINK, body):
        _, _, index, flags, _ = IFINFOMSG.unpack_from(payload)
        yield index, flags, attributes(payload, IFINFOMSG.size)


def _addresses(kernel: Connection) -> Iterator[tuple[int, int, int, int, Attributes]]:
    """Yield family, prefix length, flags, link and attributes of addresses."""
    for payload in kernel.dump(RTM_GETADDR, bytes(IFADDRMSG.size)):
        family, prefix, flags, _, index = IFADDRMSG.unpack_from(payload)
        yield family, prefix, flags, index, attributes(payload, IFADDRMSG.size)


def _own_ip(family: int, said: Attributes) -> str:
    return _ip(family, said.get(IFA_LOCAL) or said[IFA_ADDRESS])


def _ip(family: int, data: bytes) -> str:
    return socket.inet_ntop(family, data)
