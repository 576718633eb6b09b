"""DNS over TCP, the server's side.

Each message goes after its length, as many on one connection as a client likes (RFC 7766).

Answers come when they are ready, not in the order of the questions. A client that does not read
gets no more answers prepared than fit a bound: until it reads, it is not read from either. One that
is silent for eight seconds, or takes longer for a single question, is hung up on. So nobody holds
anything for long, and who connects while all places are taken gets the place of the one that has
been silent for longest, of the same sandbox.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from plumb.agent.dns.limits import ByteQuota, ServerContext
from plumb.agent.loop import ERR, HANGUP, IN, OUT

READ = 1024
"""Bytes that are read in one turn: some thirty questions."""
HIGH = 1 << 16
"""Bytes of answers that nobody has read, at which no more questions are."""
FREE = 1024
"""Bytes of a client that are not counted among those that all together may hold."""
PAUSE = 0.1
"""Seconds without accepting when there is no descriptor left."""
Ask = Callable[[bytes, Callable[[bytes], None]], bool]
"""Takes a question and whom to tell the answer without its id, now or later.

Whether there will be one.
"""


class Clients:
    """The TCP clients of one sandbox.

    Args:
        listener: the socket; it stays the caller's.
        share: of the bytes that are kept.
        ask: answers a question; prepared: tells whether that is done at once.
    """

    def __init__(
        self,
        commons: ServerContext,
        share: ByteQuota,
        listener: socket.socket,
        ask: Ask,
        prepared: Callable[[bytes], bool],
    ) -> None:
        self.commons, self.share, self.ask, self.prepared = commons, share, ask, prepared
        self._listener = listener
        self.open: OrderedDict[Client, None] = (
            OrderedDict()
        )  # the one that has been silent for longest comes first

    def begin(self) -> None:
        """Take clients from now on."""
        self.commons.loop.watch(self._listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        loop = self.commons.loop
        try:
            if loop.full and not self.open:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor left, or who has come is gone again
            loop.rest(self._listener.fileno(), PAUSE)
            return
        if self._full():
            next(iter(self.open)).close()
        sock.setblocking(False)
        try:
            self.open[Client(self, sock)] = None
        except OSError:  # the kernel watches no more for us (max_user_watches)
            sock.close()

    def _full(self) -> bool:
        limits, mine = self.commons.limits, len(self.open)
        return (
            mine >= limits.clients
            or (mine >= limits.granted and self.commons.clients >= limits.everyone)
            or (mine > 0 and self.commons.loop.full)
        )

    def touch(self, client: Client) -> None:
        """It has asked."""
        self.open.move_to_end(client)
        self.commons.idleness.add(client)

    def close(self) -> None:
        """Hang up on all, and take nobody any more."""
        self.commons.loop.forget(self._listener.fileno())
        for client in [*self.open]:
            client.close()


class Client:
    """One who asks by TCP."""

    __slots__ = (
        "_busy",
        "_clients",
        "_closed",
        "_ended",
        "_events",
        "_held",
        "_in",
        "_out",
        "_pending",
        "_resting",
        "_socket",
    )

    def __init__(self, clients: Clients, sock: socket.socket) -> None:
        self._clients, self._socket = clients, sock
        self._in, self._out = bytearray(), bytearray()
        self._pending = self._held = 0
        self._busy = self._closed = self._ended = self._resting = False
        self._events = IN
        clients.commons.loop.watch(sock.fileno(), IN, self._on_event)
        clients.commons.clients += 1
        clients.commons.idleness.add(self)

    def _on_event(self, events: int) -> None:
        try:
            if events & IN and self._hungry:
                heard = self._socket.recv(READ)
                self._ended = not heard
                self._in += heard
            elif events & (ERR | HANGUP):
                self.close()
                return
            self._turn()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    @property
    def _room(self) -> bool:
        """Whether to answer more questions."""
        return len(self._out) < HIGH and self._pending < self._clients.commons.limits.pipelined

    @property
    def _hungry(self) -> bool:
        return self._room and not self._ended and not self._resting

    def _turn(self) -> None:
        """Answer what has come, send what can be sent, and see what to wait for.

        After one question for which nothing was prepared it is the others' turn: a sandbox may have
        many clients.
        """
        dear = False
        while not dear and self._room and (packet := self._next()) is not None:
            dear = not self._clients.prepared(packet)
            self._take(packet)
        if dear and not self._resting:
            self._resting = True
            self._clients.commons.loop.soon(self._resume)
        with suppress(BlockingIOError):
            while self._out:
                del self._out[: self._socket.send(self._out)]
        if not self._counted() or (self._ended and not self._pending and not self._out):
            self.close()
            return
        events = (IN if self._hungry else 0) | (OUT if self._out else 0)
        if events != self._events:
            self._events = events
            self._clients.commons.loop.rewatch(self._socket.fileno(), events)

    def _resume(self) -> None:
        """Go on where it was the others' turn."""
        self._resting = False
        if not self._closed:
            try:
                self._turn()
            except OSError:
                self.close()

    def _next(self) -> bytes | None:
        """One question of those that have come."""
        size = int.from_bytes(self._in[:2], "big")
        if len(self._in) < 2 or len(self._in) < 2 + size:
            return None
        packet = bytes(self._in[2 : 2 + size])
        del self._in[: 2 + size]
        return packet

    def _take(self, packet: bytes) -> None:
        """Ask it."""
        self._clients.touch(self)
        self._pending, self._busy = self._pending + 1, True
        try:
            if not self._clients.ask(packet, lambda tail: self._answer(packet[:2] + tail)):
                self._pending -= 1
        finally:
            self._busy = False

    def _answer(self, answer: bytes) -> None:
        """An answer to one of the questions, now or later."""
        if self._closed:
            return
        self._pending -= 1
        self._out += len(answer).to_bytes(2, "big") + answer
        if not self._busy:
            try:
                self._turn()
            except OSError:
                self.close()

    def _counted(self) -> bool:
        """Whether what is kept for this client may be kept."""
        share, size = self._clients.share, max(0, len(self._in) + len(self._out) - FREE)
        if size > self._held and not share.hold(size - self._held):
            return False
        share.let_go(max(0, self._held - size))
        self._held = size
        return True

    def expire(self) -> None:
        """It has been silent for long."""
        if self._pending:
            self._clients.commons.idleness.add(self)  # it waits for others, as we do
        else:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._closed:
            return
        self._closed = True
        commons = self._clients.commons
        self._clients.open.pop(self, None)
        commons.clients -= 1
        commons.idleness.discard(self)
        self._clients.share.let_go(self._held)
        commons.loop.forget(self._socket.fileno())
        self._socket.close()
