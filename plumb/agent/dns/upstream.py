"""Query to one upstream server, and its reply.

An attacker who guesses a query may send a reply in the server's name, and wins if it arrives first.
So each query has a socket of its own, with a port that the kernel chooses at random; the socket is
connected, so that the kernel drops packets from any other address; the id is random too; and the
reply must repeat the question (RFC 5452). Over UDP the agent ignores a packet that does not fit and
goes on waiting: it may be an attack, and the true reply may still come. Over TCP nobody else can
inject data, so a message that does not fit is the server's failure.

A host without a listener at that port replies with ICMP port unreachable, and the socket reports
ECONNREFUSED: the agent then waits no longer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from plumb.agent.dns import message
from plumb.agent.dns.limits import ByteQuota, ServerContext
from plumb.agent.loop import IN, OUT

PORT = 53
BATCH = 16
"""Packets that are read in one turn of the loop."""
Done = Callable[[bytes | None], None]


class UpstreamQuery:
    """Query that is with a server; the constructor sends it.

    Args:
        quota: the sandbox's buffered bytes.
        server: the address, and the netns to ask it from.
        packet: the query, with nothing behind it; question: the same, parsed.
        done: called with the reply, or with None when there will be none.

    Raises:
        OSError: the server cannot be reached.
    """

    kind: int
    begins: int

    def __init__(
        self,
        context: ServerContext,
        quota: ByteQuota,
        server: tuple[str, str],
        packet: bytes,
        question: message.Question,
        done: Done,
    ) -> None:
        self._context, self._quota, self._done, self._question_end = (
            context,
            quota,
            done,
            question.end,
        )
        # Both are the kernel's choice: the id here, the port where the socket connects.
        self._request = os.urandom(2) + packet[2:]
        ip, ns = server
        self._socket = context.sockets.dial(ns, self.kind, ip, PORT)
        try:
            self._send()
            context.loop.watch(self._socket.fileno(), self.begins, self._on_event)
        except OSError:
            self._socket.close()
            raise

    def _send(self) -> None:
        """Send what can be sent at once."""

    def _on_event(self, events: int) -> None:
        raise NotImplementedError

    def _fits(self, packet: bytes) -> bool:
        return message.answers(packet, self._request[:2], self._request, self._question_end)

    def _finish(self, answer: bytes | None) -> None:
        self.close()
        self._done(answer)

    def close(self) -> None:
        """Close the socket; `done` is not called."""
        self._context.loop.forget(self._socket.fileno())
        self._socket.close()


class Datagrams(UpstreamQuery):
    """UDP. A reply of any size is accepted, whatever size the query announced.

    Some servers ignore the announced size; Docker accepts their replies too.
    """

    kind, begins = socket.SOCK_DGRAM, IN

    def _send(self) -> None:
        self._socket.send(self._request)

    def _on_event(self, events: int) -> None:
        for _ in range(BATCH):
            try:
                packet = self._socket.recv(message.MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                self._finish(None)
                return
            if self._fits(packet):
                self._finish(packet)
                return


class Stream(UpstreamQuery):
    """TCP: a two-byte length precedes each message (RFC 1035 section 4.2.2)."""

    kind, begins = socket.SOCK_STREAM, OUT

    def _send(self) -> None:
        self._out = len(self._request).to_bytes(2, "big") + self._request
        self._in = bytearray()

    def _on_event(self, events: int) -> None:
        try:
            if self._out:
                self._out = self._out[self._socket.send(self._out) :]
                if not self._out:
                    self._context.loop.rewatch(self._socket.fileno(), IN)
                return
            self._receive()
        except BlockingIOError:
            return
        except OSError:
            self._finish(None)

    def _receive(self) -> None:
        """Read a part of the reply."""
        size = int.from_bytes(self._in[:2], "big") + 2 if len(self._in) >= 2 else 2
        received = self._socket.recv(size - len(self._in))
        if not received or not self._quota.reserve(len(received)):
            self._finish(None)
            return
        self._in += received
        if len(self._in) == size > 2 or self._in == b"\0\0":
            packet = bytes(self._in[2:])
            self._finish(packet if self._fits(packet) else None)

    def close(self) -> None:
        """Ask no longer."""
        self._quota.release(len(self._in))
        self._in.clear()
        super().close()
