"""What a namespace has of links, addresses, routes and rules, read in a fraction of a millisecond.

pyroute2's messages are made to be sent; to look at everything several times a second, they take too
long. Here the kernel's answer to a dump is taken apart by hand, and of each object only what one
would tell it by is kept: no counters, no lifetimes, no age.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

GETLINK, GETADDR, GETROUTE, GETRULE = 18, 22, 26, 34
REQUEST, DUMP, ERROR, DONE = 0x1, 0x300, 2, 3
HEADER = struct.Struct("=IHHII")
IFF_UP, IFF_LOWER_UP, IFF_SHOWN = (
    0x1,
    0x10000,
    {0x1: "UP", 0x80: "NOARP", 0x100: "PROMISC", 0x200: "ALLMULTI"},
)
IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x40, 0x08
LOCAL_TABLE, CLONED, UNICAST = 255, 0x200, 1
ROUTE_TYPES = {
    2: "local",
    3: "broadcast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}
Attributes = dict[int, bytes]


def links() -> list[dict[str, Any]]:
    """The links of the calling thread's namespace.

    Name, up, carrier, and addresses that can be used.
    """
    found: dict[int, dict[str, Any]] = {}
    for index, flags, attributes in _links():
        found[index] = {
            "name": _text(attributes[3]),
            "up": bool(flags & IFF_UP),
            "carrier": bool(flags & IFF_LOWER_UP),
            "addresses": [],
        }
    for family, _, flags, index, attributes in _addresses():
        whole = struct.unpack("=I", attributes[8])[0] if 8 in attributes else flags
        if index in found and not whole & (IFA_F_TENTATIVE | IFA_F_DADFAILED):
            found[index]["addresses"].append(_ip(family, attributes.get(2) or attributes[1]))
    return list(found.values())


def layer3() -> dict[str, list[str]]:
    """All links, addresses, routes and rules of the calling thread's namespace, a line each, in words like iproute2's."""
    names = {}
    seen = []
    for index, flags, attributes in _links():
        names[index] = _text(attributes[3])
        seen.append((flags, attributes))
    return {
        "links": sorted(_link(flags, attributes, names) for flags, attributes in seen),
        "addresses": sorted(
            f"{_ip(family, attributes.get(2) or attributes[1])}/{prefix} dev {names.get(index, index)}"
            for family, prefix, _, index, attributes in _addresses()
        ),
        "routes": sorted(_routes(names)),
        "rules": sorted(_rules()),
    }


def _link(flags: int, attributes: Attributes, names: dict[int, str]) -> str:
    words = [_text(attributes[3]), *(word for bit, word in IFF_SHOWN.items() if flags & bit)]
    if 4 in attributes:
        words.append(f"mtu {struct.unpack('=I', attributes[4])[0]}")
    if 10 in attributes:
        master = struct.unpack("=I", attributes[10])[0]
        words.append(f"master {names.get(master, master)}")
    if 1 in attributes:
        words.append(attributes[1].hex(":"))
    if 18 in attributes and 1 in (info := dict(_attributes(attributes[18]))):
        words.append(_text(info[1]))
    return " ".join(words)


def _routes(names: dict[int, str]) -> Iterator[str]:
    for data in dump(GETROUTE, bytes(12)):
        family, dst_len, _, _, table, _, _, kind, flags = struct.unpack_from("=BBBBBBBBI", data)
        attributes = dict(_attributes(data[12:]))
        table = struct.unpack("=I", attributes[15])[0] if 15 in attributes else table
        if (
            table == LOCAL_TABLE
            or flags & CLONED
            or kind == 5
            or family not in (socket.AF_INET, socket.AF_INET6)
        ):
            continue
        words = [
            ROUTE_TYPES.get(kind, ""),
            f"{_ip(family, attributes[1])}/{dst_len}" if 1 in attributes else "default",
        ]
        if 5 in attributes:
            words.append(f"via {_ip(family, attributes[5])}")
        if 4 in attributes:
            index = struct.unpack("=I", attributes[4])[0]
            words.append(f"dev {names.get(index, index)}")
        if 6 in attributes:
            words.append(f"metric {struct.unpack('=I', attributes[6])[0]}")
        yield " ".join(
            filter(
                None,
                [
                    *words,
                    "" if family == socket.AF_INET else "(IPv6)",
                    "" if table == 254 else f"table {table}",
                ],
            )
        )


def _rules() -> Iterator[str]:
    for data in dump(GETRULE, bytes(12)):
        family, dst_len, src_len, _, table, _, _, action, flags = struct.unpack_from(
            "=BBBBBBBBI", data
        )
        attributes = dict(_attributes(data[12:]))
        number = {
            kind: struct.unpack("=I", value)[0]
            for kind, value in attributes.items()
            if kind in (6, 10, 15)
        }
        words = [f"{number.get(6, 0)}:"]
        for kind, length, word in ((2, src_len, "from"), (1, dst_len, "to")):
            if kind in attributes:
                words.append(f"{word} {_ip(family, attributes[kind])}/{length}")
        for kind, word in ((3, "iif"), (17, "oif")):
            if kind in attributes:
                words.append(f"{word} {_text(attributes[kind])}")
        words += [f"fwmark {number[10]:#x}"] if 10 in number else []
        yield " ".join(
            [
                *words,
                f"table {number.get(15, table)}",
                f"action {action}",
                f"flags {flags & 2}",
                "(IPv4)" if family == socket.AF_INET else "(IPv6)",
            ]
        )


# -- messages ---------------------------------------------------------------


def _links() -> Iterator[tuple[int, int, Attributes]]:
    """Index, flags, attributes.

    Without counters, which are half of the answer (IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).
    """
    for data in dump(GETLINK, bytes(16) + struct.pack("=HHI", 8, 29, 1 << 3)):
        _, _, index, flags = struct.unpack_from("=BxHiI", data)
        yield index, flags, dict(_attributes(data[16:]))


def _addresses() -> Iterator[tuple[int, int, int, int, Attributes]]:
    """Family, prefix length, flags, link, attributes."""
    for data in dump(GETADDR, bytes(8)):
        family, prefix, flags, _, index = struct.unpack_from("=BBBBI", data)
        yield family, prefix, flags, index, dict(_attributes(data[8:]))


def dump(kind: int, body: bytes) -> Iterator[bytes]:
    """All messages that answer a dump request of NETLINK_ROUTE in the calling thread's namespace, without their headers.

    Raises:
        OSError: the kernel refused.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as kernel:
        kernel.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST | DUMP, 1, 0) + body)
        while True:
            data, at = kernel.recv(1 << 18), 0
            while at + HEADER.size <= len(data):
                length, answer = HEADER.unpack_from(data, at)[:2]
                if answer == DONE:
                    return
                if answer == ERROR:
                    number = -struct.unpack_from("=i", data, at + HEADER.size)[0]
                    if number == 95:  # EOPNOTSUPP: a kernel without policy routing has no rules
                        return
                    raise OSError(number, os.strerror(number))
                yield data[at + HEADER.size : at + length]
                at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _ip(family: int, data: bytes) -> str:
    return socket.inet_ntop(family, data)
