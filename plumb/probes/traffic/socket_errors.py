"""Text for an errno, or for an ICMP error from a socket's error queue."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import ip_address

from plumb.address import IPAddress
from plumb.frozen import frozen

NO_WAY = "no route"
"""The error of the source's own kernel, which sends nothing then."""
REFUSED = "refused"
WORDS = {
    errno.ECONNREFUSED: REFUSED,
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

The address of the router or host that sent the error follows it.
"""
BY_ICMP, LOCAL = (2, 3), 1
TIME_EXCEEDED = {(2, 11), (3, 3)}


def words(number: int) -> str:
    """An errno as text."""
    return WORDS.get(number) or os.strerror(number).lower()


def is_refusal(text: str) -> bool:
    """True for the text of ECONNREFUSED, whoever said it."""
    return text == REFUSED or text.startswith(f"{REFUSED}, says ")


@frozen
class ExtendedError:
    """An error about a packet (struct sock_extended_err).

    Attributes:
        errno: the error that a program gets.
        by: the address that sent the ICMP error; None: the source's own kernel.
        mtu: the longest packet that passes, for EMSGSIZE, else 0.
        expired: the packet's TTL had run out.
    """

    errno: int
    by: IPAddress | None
    mtu: int
    expired: bool

    def __str__(self) -> str:
        return words(self.errno) + (f", says {self.by}" if self.by is not None else "")


def extended_error(ancillary: list[tuple[int, int, bytes]]) -> ExtendedError | None:
    """Parse the ancillary data of a message from a socket's error queue (IP_RECVERR)."""
    for _, _, data in ancillary:
        if len(data) < EXTENDED.size + 2:
            continue
        failed, origin, kind, _, info, _ = EXTENDED.unpack_from(data)
        family = struct.unpack_from("=H", data, EXTENDED.size)[0]
        place = {int(socket.AF_INET): slice(20, 24), int(socket.AF_INET6): slice(24, 40)}.get(
            family
        )
        by = ip_address(data[place]) if place is not None and origin in BY_ICMP else None
        return ExtendedError(
            failed, by, info if failed == errno.EMSGSIZE else 0, (origin, kind) in TIME_EXCEEDED
        )
    return None
