"""nfnetlink: the family of netlink through which one speaks to the kernel's packet filters, and hears from them.

Each part of netfilter is a subsystem with messages of its own: nf_tables 10, the log 4. What
changes nf_tables is sent as a batch,
between a begin and an end, and is one transaction: the kernel takes it whole or not at all. What is
heard comes unasked: to those who are members of a group (nf_tables' trace of packets), or to the
one socket that has bound a number (the log's groups).

One socket does all of it for one namespace, the one in which it was made. A table can be owned by a
socket (Linux 5.12): the kernel deletes it when that socket is closed, however its process ends.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple, Self

from plumb.kernel.netlink.codec import (
    ACK,
    ACK_TLVS,
    ATTR_MSG,
    CAP_ACK,
    CAPPED,
    ERROR,
    EXT_ACK,
    HEADER,
    NETFILTER,
    REQUEST,
    SECONDS,
    SOL_NETLINK,
    attributes,
)

NFTABLES, LOG = 10, 4
"""Subsystems (linux/netfilter/nfnetlink.h)."""
BATCH_BEGIN, BATCH_END = 0x10, 0x11
ADD_MEMBERSHIP = 1
RCVBUFFORCE = 33
ROOM = 1 << 22
GENERIC = struct.Struct("=BBH")
LONGEST = 1 << 18


class NfMessage(NamedTuple):
    """A message that came unasked.

    Subsystem and number, the protocol family, the attributes' bytes.
    """

    subsystem: int
    kind: int
    family: int
    body: bytes


def message(
    subsystem: int, kind: int, family: int, body: bytes, *, flags: int = 0, resource: int = 0
) -> bytes:
    """A request, all but its sequence number.

    Args:
        subsystem: NFTABLES, LOG; kind: its message.
        family: the protocol family that it is about.
        body: attributes.
        flags: besides REQUEST and ACK.
        resource: a group's number, where messages of this kind are about one.
    """
    whole = GENERIC.pack(family, 0, socket.htons(resource)) + body
    return (
        HEADER.pack(HEADER.size + len(whole), subsystem << 8 | kind, flags | REQUEST | ACK, 0, 0)
        + whole
    )


class Netfilter:
    """A nfnetlink socket of the namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER
        )
        for level, option, value in (
            (SOL_NETLINK, CAP_ACK, 1),
            (SOL_NETLINK, EXT_ACK, 1),
            (socket.SOL_SOCKET, RCVBUFFORCE, ROOM),
        ):
            self.socket.setsockopt(level, option, value)
        self.socket.bind((0, 0))
        self.socket.setblocking(False)
        self.lost = 0
        self._sequence = 0
        self._heard: list[NfMessage] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    def join(self, group: int) -> None:
        """Hear what is told to a group."""
        self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def ask(self, *requests: bytes) -> None:
        """Send requests, each for itself.

        Raises:
            OSError: the first that was refused; those behind it were carried out as well.
        """
        self._send(requests)

    def transact(self, requests: Sequence[bytes]) -> None:
        """Send requests to nf_tables as one transaction.

        Raises:
            OSError: one was refused, so none was carried out.
        """
        edge = GENERIC.pack(0, 0, socket.htons(NFTABLES))
        begin, end = (
            HEADER.pack(HEADER.size + len(edge), kind, REQUEST, 0, 0) + edge
            for kind in (BATCH_BEGIN, BATCH_END)
        )
        self._send(requests, begin, end)

    def _send(self, requests: Sequence[bytes], begin: bytes = b"", end: bytes = b"") -> None:
        first, data = self._sequence + 1, bytearray(begin)
        for request in requests:
            self._sequence += 1
            data += request[:8] + struct.pack("=I", self._sequence) + request[12:]
        self.socket.send(bytes(data + end))
        answers: dict[int, OSError | None] = {}
        while len(answers) < len(requests):
            for kind, flags, sequence, payload in self._receive():
                if kind == ERROR and sequence == 0:  # of a batch's edges: it was refused as a whole
                    said = _refusal(flags, payload)
                    if said is not None:
                        raise said
                elif kind == ERROR and sequence >= first:
                    answers[sequence] = _refusal(flags, payload)
                elif kind != ERROR:
                    self._keep(kind, payload)
        for _, refusal in sorted(answers.items()):
            if refusal is not None:
                raise refusal

    def hear(self) -> list[NfMessage]:
        """What came unasked since it was last called."""
        while select.select([self.socket], [], [], 0)[0]:
            for kind, _, _, payload in self._receive():
                if kind != ERROR:
                    self._keep(kind, payload)
        found, self._heard = self._heard, []
        return found

    def _keep(self, kind: int, payload: bytes) -> None:
        if len(payload) >= GENERIC.size:
            self._heard.append(
                NfMessage(kind >> 8, kind & 0xFF, payload[0], payload[GENERIC.size :])
            )

    def _receive(self) -> list[tuple[int, int, int, bytes]]:
        """One datagram's messages: type, flags, sequence number, payload."""
        if not select.select([self.socket], [], [], SECONDS)[0]:
            raise TimeoutError("the kernel does not answer")
        try:
            data = self.socket.recv(LONGEST)
        except OSError as error:
            if (
                error.errno != errno.ENOBUFS
            ):  # the buffer ran over; what is in it is whole, what comes next is too
                raise
            self.lost += 1
            return []
        found, at = [], 0
        while at + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
            found.append((kind, flags, sequence, data[at + HEADER.size : at + length]))
            at += max((length + 3) & ~3, HEADER.size)
        return found


def _refusal(flags: int, payload: bytes) -> OSError | None:
    """What an answer says: None is yes."""
    number = -struct.unpack_from("=i", payload)[0]
    if not number:
        return None
    said = attributes(payload[4 + HEADER.size :]) if flags & ACK_TLVS and flags & CAPPED else {}
    return OSError(
        number,
        said.get(ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace") or os.strerror(number),
    )
