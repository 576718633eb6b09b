"""Telling: an errno, or an ICMP error that the kernel has kept, in words."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from plumb.address import IPAddress

NO_WAY = "no route"
"""What the asker's own kernel says, without asking anybody."""
WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: NO_WAY,
    errno.EADDRNOTAVAIL: NO_WAY,
    errno.EACCES: "prohibited",
    errno.EPERM: "prohibited",
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "hung up",
    errno.EMSGSIZE: "too long",
}
EXTENDED = struct.Struct("=IBBBxII")
"""struct sock_extended_err (linux/errqueue.h): errno, origin, ICMP type and code, info, data.

The offender's address is behind it.
"""
BY_ICMP, LOCAL = (2, 3), 1
TIME_EXCEEDED = {(2, 11), (3, 3)}


def words(number: int) -> str:
    """An errno in words."""
    return WORDS.get(number) or os.strerror(number).lower()


@dataclass(frozen=True)
class Told:
    """An error about a packet.

    Attributes:
        errno: what it means to the program.
        by: who says so; None: the asker's own kernel.
        mtu: the longest packet that may be sent, where that is the error, else 0.
        expired: the packet's TTL had run out.
    """

    errno: int
    by: IPAddress | None
    mtu: int
    expired: bool

    def __str__(self) -> str:
        return words(self.errno) + (f", says {self.by}" if self.by is not None else "")


def told(ancillary: list[tuple[int, int, bytes]]) -> Told | None:
    """What came from a socket's queue of errors (IP_RECVERR), beside the packet that it is about."""
    for _, _, data in ancillary:
        if len(data) < EXTENDED.size + 2:
            continue
        failed, origin, kind, _, info, _ = EXTENDED.unpack_from(data)
        family = struct.unpack_from("=H", data, EXTENDED.size)[0]
        place = {int(socket.AF_INET): slice(20, 24), int(socket.AF_INET6): slice(24, 40)}.get(
            family
        )
        by = ip_address(data[place]) if place is not None and origin in BY_ICMP else None
        return Told(
            failed, by, info if failed == errno.EMSGSIZE else 0, (origin, kind) in TIME_EXCEEDED
        )
    return None
