"""A netlink connection: the one place where this program opens AF_NETLINK sockets.

The kernel works through the messages of one send in their order, and answers each one that asks for
it. One that is refused does not stop those behind it. So a hundred links take two system calls, and
each of them still has its own acknowledgement.

A dump comes in parts, one each time the socket is read. What changes between two parts may be
missing or be there twice; the kernel then marks the messages with NLM_F_DUMP_INTR, and the dump is
asked for again.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from plumb.kernel.netlink.codec import (
    NetlinkAck,
    Request,
    acknowledgement,
    completion,
    message,
    messages,
)
from plumb.kernel.netlink.uapi.linux_netlink import (
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    SO_RCVBUFFORCE,
    SO_SNDBUFFORCE,
    SOL_NETLINK,
)

BATCH = 64
"""Requests in one send.

Their acknowledgements must fit the socket's receive buffer (208 KiB), each takes a page at worst.
"""
TRIES = 8
"""How often a dump is asked for that is interrupted each time."""
_SECONDS = 5
"""How long the kernel may take; it may have to load a module first."""
_TIMEVAL = struct.pack("@ll", _SECONDS, 0)
_LONGEST = 1 << 18
"""Bytes in one read: more than the kernel puts into one part of a dump (32 KiB) or a log message
(64 KiB)."""
_ROOM = 1 << 22
"""Bytes of a receive buffer for what comes unasked."""


class _Buffer(threading.local):
    """Memory that a thread's connections read into.

    `recv` would map 256 KiB anew for each datagram and unmap them again, which takes longer than
    the kernel takes for a short dump.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_LONGEST))


_BUFFER = _Buffer()


class DumpInterrupted(OSError):
    """A change of the objects while they were listed (NLM_F_DUMP_INTR)."""

    def __init__(self) -> None:
        super().__init__(errno.EINTR, "what is listed changes all the time")


def enlarge(of: socket.socket, room: int) -> None:
    """Ask for a receive buffer of so many bytes.

    SO_RCVBUFFORCE takes CAP_NET_ADMIN of the machine (socket(7)). Root of a user namespace gets
    what net.core.rmem_max allows.
    """
    try:
        of.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
    except PermissionError:
        of.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)


def subscribed(family: int, groups: int, room: int) -> socket.socket:
    """Open a socket that hears of every change, and asks nothing.

    Args:
        family: NETLINK_ROUTE, …; groups: its multicast groups, a bit for each (RTMGRP_…).
        room: bytes of messages that may wait to be read.
    """
    form = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, form, family)
    try:
        enlarge(made, room)
        made.bind((0, groups))
    except OSError:
        made.close()
        raise
    return made


class Connection:
    """A netlink socket of the namespace that the calling thread is in when it is made.

    It stays in that namespace wherever the thread goes, and is for one thread at a time.

    Args:
        family: NETLINK_ROUTE, NETLINK_NETFILTER, …
        strict: let the kernel take the fields of a dump's header as a filter
        (NETLINK_GET_STRICT_CHK).

    Raises:
        OSError: EPROTONOSUPPORT, the kernel has no such family.
    """

    def __init__(self, family: int, *, strict: bool = False) -> None:
        self._sequence = 0
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family
        )
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        if strict:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket, and so of the namespace."""
        self._socket.close()

    def option(self, name: int, size: int) -> bytes:
        """Read an option of the socket (SO_…, socket(7)), of at most so many bytes."""
        return self._socket.getsockopt(socket.SOL_SOCKET, name, size)

    # -- what changes something -----------------------------------------------

    def change(self, kind: int, flags: int, body: bytes) -> None:
        """Send one request that changes something, and wait for its acknowledgement.

        Args:
            kind: the message's type; flags: besides NLM_F_REQUEST and NLM_F_ACK.
            body: the family's struct and the attributes.

        Raises:
            OSError: the kernel's errno, and its sentence where it has one.
        """
        refusal = self.send([Request(kind, flags, body)])[0]
        if refusal.errno:
            raise refusal.error()

    def send(self, requests: Sequence[Request]) -> list[NetlinkAck]:
        """Send requests that change something; the acknowledgement of each, in the same order.

        Raises:
            OSError: the kernel does not answer.
        """
        acks: list[NetlinkAck] = []
        for start in range(0, len(requests), BATCH):
            acks += self._acknowledged(requests[start : start + BATCH])
        return acks

    def _acknowledged(self, requests: Sequence[Request]) -> list[NetlinkAck]:
        first = self._sequence + 1
        self._socket.send(self._packed(requests))
        return self._acks(range(first, self._sequence + 1))

    def _bracketed(
        self, begin: Request, requests: Sequence[Request], end: Request
    ) -> list[NetlinkAck]:
        """Send requests in one piece between two messages; those that are refused answer.

        The kernel works through the piece while it is sent, and answers refusals in their order.
        So the last request alone asks for an acknowledgement: all that comes before it is a
        refusal, of a request or of the edges.
        """
        head = self._numbered(*begin)
        first = self._sequence
        body = b"".join(self._numbered(*each) for each in requests[:-1])
        kind, flags, last = requests[-1]
        body += self._numbered(kind, flags | NLM_F_ACK, last)
        awaited = range(first, self._sequence + 1)
        self._send_large(head + body + self._numbered(*end))
        return self._refusals(awaited)

    def _send_large(self, data: bytes) -> None:
        """Send what may be longer than the socket's buffer (net.core.wmem_default)."""
        if len(data) > self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, len(data) + 64)
        self._socket.send(data)

    def _refusals(self, awaited: range) -> list[NetlinkAck]:
        """The refusals up to the last request's answer, or to one of the first edge."""
        refused: list[NetlinkAck] = []
        while True:
            for kind, flags, sequence, payload in messages(self._receive()):
                if kind != NLMSG_ERROR:
                    self._unasked(kind, payload)
                elif sequence in awaited:
                    ack = acknowledgement(flags, payload)
                    refused += [ack] if ack.errno else []
                    if sequence in (awaited[0], awaited[-1]):
                        return refused

    def _packed(self, requests: Sequence[Request]) -> bytes:
        return b"".join(
            self._numbered(kind, flags | NLM_F_ACK, body) for kind, flags, body in requests
        )

    def _numbered(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        return message(kind, flags, self._sequence, body)

    def _acks(self, awaited: range) -> list[NetlinkAck]:
        """The acknowledgements of the requests with these sequence numbers."""
        got: dict[int, NetlinkAck] = {}
        while len(got) < len(awaited):
            for kind, flags, sequence, payload in messages(self._receive()):
                if kind != NLMSG_ERROR:
                    self._unasked(kind, payload)
                elif sequence in awaited:
                    got[sequence] = acknowledgement(flags, payload)
        return [got[sequence] for sequence in awaited]

    # -- what only reads ------------------------------------------------------

    def get(self, kind: int, body: bytes) -> bytes:
        """Send a request that has one answer; what follows the answer's header.

        Raises:
            OSError: the kernel's errno: ENODEV, ENOENT, … where there is no such object.
        """
        self._socket.send(self._numbered(kind, 0, body))
        while True:
            for answer, flags, sequence, payload in messages(self._receive()):
                if sequence != self._sequence:
                    self._unasked(answer, payload)
                elif answer == NLMSG_ERROR:
                    raise acknowledgement(flags, payload).error()
                elif answer != NLMSG_NOOP:
                    return payload

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """List all that there is: what follows the header of each message.

        Raises:
            OSError: the kernel's errno; DumpInterrupted: what is listed changed each time.
        """
        for _ in range(TRIES - 1):
            try:
                return list(self.stream(kind, body))
            except DumpInterrupted:
                continue
        return list(self.stream(kind, body))

    def stream(self, kind: int, body: bytes) -> Iterator[bytes]:
        """List all that there is, each message as it comes, for listings that may be long.

        Raises:
            OSError: the kernel's errno.
            DumpInterrupted: at the end, what was listed has changed meanwhile.
        """
        self._socket.send(self._numbered(kind, NLM_F_DUMP, body))
        asked, interrupted = self._sequence, 0
        while True:
            for answer, flags, sequence, payload in messages(self._receive()):
                if sequence != asked:
                    self._unasked(answer, payload)
                    continue
                interrupted |= flags & NLM_F_DUMP_INTR
                if answer == NLMSG_DONE:
                    end = completion(flags, payload)
                    if end.errno:
                        raise end.error()
                    if interrupted:
                        raise DumpInterrupted
                    return
                if answer == NLMSG_ERROR:
                    raise acknowledgement(flags, payload).error()
                yield payload

    # -- the socket -----------------------------------------------------------

    def _receive(self) -> bytes:
        """Read the next datagram.

        Raises:
            TimeoutError: the kernel does not answer.
            OSError: ENOBUFS, there was no room for an answer.
        """
        try:
            view = _BUFFER.view
            return bytes(view[: self._socket.recv_into(view)])
        except BlockingIOError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the kernel does not answer") from error

    def _unasked(self, kind: int, payload: bytes) -> None:
        """Pass over a message that answers none of what is being asked."""


class Notification(NamedTuple):
    """A message that came unasked: its type, and what follows its header."""

    kind: int
    payload: bytes


class Subscriber(Connection):
    """A connection that also receives what the kernel reports by itself.

    Attributes:
        lost: how often there was no room for it. What is in the buffer is whole all the same, and
        what comes next is too.
    """

    def __init__(self, family: int) -> None:
        super().__init__(family)
        enlarge(self._socket, _ROOM)
        self.lost = 0
        self._kept: list[Notification] = []

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self._socket.fileno()

    def join(self, group: int) -> None:
        """Receive what is sent to a multicast group.

        Raises:
            OSError: the kernel has no such group.
        """
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def notifications(self) -> list[Notification]:
        """Return what came unasked since the last call, without waiting."""
        while select.select([self._socket], [], [], 0)[0]:
            for kind, _, _, payload in messages(self._receive()):
                self._unasked(kind, payload)
        found, self._kept = self._kept, []
        return found

    def _receive(self) -> bytes:
        try:
            return super()._receive()
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.lost += 1
            return b""

    def _unasked(self, kind: int, payload: bytes) -> None:
        if kind > NLMSG_DONE:
            self._kept.append(Notification(kind, payload))
