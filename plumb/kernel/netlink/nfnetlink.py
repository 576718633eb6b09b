"""nfnetlink: the family of netlink that netfilter's subsystems share (linux/netfilter/nfnetlink.h).

Each part of netfilter is a subsystem with messages of its own: connection tracking, the packet log,
nf_tables. What changes nf_tables is sent as a batch, between a begin and an end, and is one
transaction: the kernel takes it whole or not at all. What the kernel reports by itself goes to the
members of a group (nf_tables' trace of packets), or to the one socket that has bound a number (the
log's groups).

A table can be owned by a socket (Linux 5.12): the kernel deletes it when that socket is closed,
however its process ends.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from plumb.kernel.netlink.codec import Request, attribute_be32
from plumb.kernel.netlink.connection import Subscriber
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNETLINK_V0,
    NFNL_BATCH_GENID,
    NFNL_MSG_BATCH_BEGIN,
    NFNL_MSG_BATCH_END,
    NFNL_SUBSYS_NFTABLES,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER

MOST_OPEN = 64
"""Connections that wait to be closed, at most; a process may have 1,024 files open."""


class _Closing(threading.local):
    """Connections of a thread that are to be closed together; None where each is at once."""

    sockets: list[socket.socket] | None = None


_CLOSING = _Closing()


@contextmanager
def closing_last() -> Iterator[None]:
    """Close the connections of a with block at its end, the oldest earlier if there are many.

    Closing one waits until the kernel has disposed of what was deleted in its namespace, 10 to
    20 ms. That goes on while other things are taken away, and need be waited for once.
    """
    if _CLOSING.sockets is not None:
        yield
        return
    waiting: list[socket.socket] = []
    _CLOSING.sockets = waiting
    try:
        yield
    finally:
        _CLOSING.sockets = None
        for each in waiting:
            each.close()


EDGE = NFGENMSG.pack(0, NFNETLINK_V0, NFNL_SUBSYS_NFTABLES)
"""Body of a batch's begin and end: which subsystem it is for."""


class NfMessage(NamedTuple):
    """A message that came unasked.

    Subsystem and message number, the protocol family, the attributes' bytes.
    """

    subsystem: int
    kind: int
    family: int
    body: bytes


def request(
    subsystem: int, kind: int, family: int, body: bytes, *, flags: int = 0, resource: int = 0
) -> Request:
    """A request to a subsystem.

    Args:
        subsystem: NFNL_SUBSYS_…; kind: its message.
        family: the protocol family that it is about.
        body: attributes.
        flags: besides NLM_F_REQUEST and NLM_F_ACK.
        resource: a log group's number, where messages of this kind are about one.
    """
    head = NFGENMSG.pack(family, NFNETLINK_V0, resource)
    return Request(subsystem << 8 | kind, flags, head + body)


class Netfilter(Subscriber):
    """A connection to netfilter in the calling thread's namespace."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def close(self) -> None:
        """Let go of the socket, now or where `closing_last` says."""
        waiting = _CLOSING.sockets
        if waiting is None:
            super().close()
            return
        waiting.append(self._socket)
        if len(waiting) > MOST_OPEN:
            waiting.pop(0).close()

    def ask(self, *requests: Request) -> None:
        """Send requests, each for itself.

        Raises:
            OSError: the first that was refused; those behind it were carried out as well.
        """
        for ack in self.send(requests):
            if ack.errno:
                raise ack.error()

    def transact(self, requests: Sequence[Request], generation: int = 0) -> None:
        """Send requests to nf_tables as one transaction.

        Args:
            requests: in their order.
            generation: the number that the ruleset must still have (NFT_MSG_GETGEN), 0 for any.

        Raises:
            OSError: one was refused, so none was carried out; ERESTART: the ruleset has another
            number.
        """
        if not requests:
            return
        known = attribute_be32(NFNL_BATCH_GENID, generation) if generation else b""
        begin = Request(NFNL_MSG_BATCH_BEGIN, 0, EDGE + known)
        end = Request(NFNL_MSG_BATCH_END, 0, EDGE)
        for refusal in self._bracketed(begin, requests, end):
            raise refusal.error()

    def reports(self) -> list[NfMessage]:
        """Return what came unasked since the last call, without waiting."""
        return [
            NfMessage(kind >> 8, kind & 0xFF, payload[0], payload[NFGENMSG.size :])
            for kind, payload in self.notifications()
            if len(payload) >= NFGENMSG.size
        ]
