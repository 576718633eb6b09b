"""One netlink request of any family, and what the kernel answers (RFC 3549, linux/netlink.h).

All families of netlink are alike: a header, a struct of the family's own, then attributes, each
with its length and its kind, padded to four bytes, which may hold attributes in turn. Where there
is work to do it has a module of its own (netlink.py for links, ctnetlink.py for connection
tracking), which sends many at a time; here is what it takes to ask once.
"""

from __future__ import annotations

import os
import socket
import struct

ROUTE, XFRM, NETFILTER, GENERIC = 0, 6, 12, 16
"""Families (linux/netlink.h)."""
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
EXCL, CREATE = 0x200, 0x400
ERROR, DONE = 2, 3
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
CAPPED, ACK_TLVS, ATTR_MSG = 0x100, 0x200, 1
NESTED, KIND = 0x8000, 0x3FFF
HEADER, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
SECONDS = 5.0
"""How long the kernel may take; it may have to load a module first."""


def attribute(kind: int, value: bytes | str) -> bytes:
    """An attribute; text ends with a zero byte."""
    raw = value.encode() + b"\0" if isinstance(value, str) else value
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(raw), kind) + raw + b"\0" * (-len(raw) % 4)


def nest(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in some bytes, by kind."""
    found, at = {}, 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind & KIND] = data[at + ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, ATTRIBUTE.size)
    return found


def ask(family: int, kind: int, flags: int, body: bytes) -> list[bytes]:
    """Send one request in the calling thread's namespace.

    What follows the header of each message that answers it.

    Args:
        family: ROUTE, XFRM, NETFILTER or GENERIC.
        kind: the message's type.
        flags: besides REQUEST and ACK.
        body: the family's struct and the attributes.

    Raises:
        OSError: with the kernel's errno, and its sentence where it has one; EPROTONOSUPPORT: it has
        no such family.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family) as sock:
        for option in (CAP_ACK, EXT_ACK):
            sock.setsockopt(SOL_NETLINK, option, 1)
        sock.settimeout(SECONDS)
        sock.bind((0, 0))
        sock.send(HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST | ACK, 1, 0) + body)
        found: list[bytes] = []
        while True:
            data = sock.recv(1 << 16)
            while len(data) >= HEADER.size:
                length, answer, marks, _, _ = HEADER.unpack_from(data)
                payload, data = data[HEADER.size : length], data[(length + 3) & ~3 :]
                if answer == ERROR:
                    _raise(marks, payload)
                if answer in (ERROR, DONE):
                    return found
                found.append(payload)


def _raise(flags: int, payload: bytes) -> None:
    """Raise what an NLMSG_ERROR says, if it is not "yes".

    Errno, the request's header, attributes with the kernel's sentence.
    """
    number = -struct.unpack_from("=i", payload)[0]
    if number:
        said = attributes(payload[4 + HEADER.size :]) if flags & ACK_TLVS and flags & CAPPED else {}
        raise OSError(
            number,
            said.get(ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace") or os.strerror(number),
        )
