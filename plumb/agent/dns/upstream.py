"""An exchange: one question to one server elsewhere, and its answer.

Whoever can guess what a resolver has asked may answer in a server's name, if it is faster. So each
question has a socket of its own, from a port that the kernel has chosen at random; it is connected,
so that the kernel takes nothing from any other address; its id is random as well; and the answer
must repeat the question (RFC 5452). What does not fit is ignored, and the wait goes on: it may be
somebody's attempt, and the true answer still comes. By TCP nobody else can put in a word, and what
does not fit is the server's.

A server's host where nobody listens says so by ICMP, and the socket reports ECONNREFUSED: no need
to wait any longer.
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
"""Datagrams that are looked at in one turn."""
Done = Callable[[bytes | None], None]


class UpstreamQuery:
    """A question that is with a server; asking begins at once.

    Args:
        share: of the bytes that are kept.
        server: the address, and the namespace to ask it from.
        packet: the question, and nothing behind it; question: the same, understood.
        done: is told the answer, or None when there will be none.

    Raises:
        OSError: there is no way there.
    """

    kind: int
    begins: int

    def __init__(
        self,
        commons: ServerContext,
        share: ByteQuota,
        server: tuple[str, str],
        packet: bytes,
        question: message.Question,
        done: Done,
    ) -> None:
        self._commons, self._share, self._done, self._end = commons, share, done, question.end
        # Both are the kernel's choice: the id here, the port where the socket connects.
        self._asked = os.urandom(2) + packet[2:]
        ip, ns = server
        self._socket = commons.door.dial(ns, self.kind, ip, PORT)
        try:
            self._begin()
            commons.loop.watch(self._socket.fileno(), self.begins, self._on_event)
        except OSError:
            self._socket.close()
            raise

    def _begin(self) -> None:
        """Say what can be said at once."""

    def _on_event(self, events: int) -> None:
        raise NotImplementedError

    def _fits(self, packet: bytes) -> bool:
        return message.answers(packet, self._asked[:2], self._asked, self._end)

    def _finish(self, answer: bytes | None) -> None:
        self.close()
        self._done(answer)

    def close(self) -> None:
        """Ask no longer."""
        self._commons.loop.forget(self._socket.fileno())
        self._socket.close()


class Datagrams(UpstreamQuery):
    """By UDP. An answer may have any size, whatever was said about what can be taken.

    There are servers that do not care, as in Docker.
    """

    kind, begins = socket.SOCK_DGRAM, IN

    def _begin(self) -> None:
        self._socket.send(self._asked)

    def _on_event(self, events: int) -> None:
        for _ in range(BATCH):
            try:
                packet = self._socket.recv(message.LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._finish(None)
                return
            if self._fits(packet):
                self._finish(packet)
                return


class Stream(UpstreamQuery):
    """By TCP: each message goes after its length (RFC 1035 section 4.2.2)."""

    kind, begins = socket.SOCK_STREAM, OUT

    def _begin(self) -> None:
        self._out = len(self._asked).to_bytes(2, "big") + self._asked
        self._in = bytearray()

    def _on_event(self, events: int) -> None:
        try:
            if self._out:
                self._out = self._out[self._socket.send(self._out) :]
                if not self._out:
                    self._commons.loop.rewatch(self._socket.fileno(), IN)
                return
            self._hear()
        except BlockingIOError:
            return
        except OSError:
            self._finish(None)

    def _hear(self) -> None:
        """Take a piece of the answer."""
        size = int.from_bytes(self._in[:2], "big") + 2 if len(self._in) >= 2 else 2
        heard = self._socket.recv(size - len(self._in))
        if not heard or not self._share.hold(len(heard)):
            self._finish(None)
            return
        self._in += heard
        if len(self._in) == size > 2 or self._in == b"\0\0":
            packet = bytes(self._in[2:])
            self._finish(packet if self._fits(packet) else None)

    def close(self) -> None:
        """Ask no longer."""
        self._share.let_go(len(self._in))
        self._in.clear()
        super().close()
