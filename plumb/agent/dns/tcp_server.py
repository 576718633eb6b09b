"""DNS over TCP, the server's side.

A length precedes each message, and a client may send any number of them on one connection (RFC
7766).

Replies are sent when they are ready, not in the order of the queries. When a client does not read
its replies and these exceed a limit, the server stops reading from it. It closes the connection of
a client that is silent for eight seconds, or takes longer for a single query. When all connections
of a sandbox are taken, or all descriptors (`agent.shares`), a new client replaces the one of the
same sandbox that has been silent for longest.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from plumb.agent.dns.limits import ByteQuota, ServerContext
from plumb.agent.loop import ERR, HANGUP, IN, OUT
from plumb.agent.shares import Bound, Lease, Party, Peer

READ = 1024
"""Bytes that are read in one turn of the loop: some thirty queries."""
MAX_UNREAD = 1 << 16
"""Bytes of replies that a client has not read, at which the server stops reading its queries."""
PEER = "TCP clients"
"""Name of the TCP clients of a sandbox among those that have its descriptors."""
UNCOUNTED = 1024
"""Bytes of a client that are not counted against the limits."""
ACCEPT_DELAY = 0.1
"""Seconds without accepting when no file descriptor is left."""
Ask = Callable[[bytes, Callable[[bytes], None]], bool]
"""Function that takes a query and a callback for the reply without its id, called now or later.

It returns False if there will be no reply.
"""


class Clients:
    """TCP clients of one sandbox.

    Args:
        listener: the listening socket; the caller closes it.
        quota: the sandbox's buffered bytes; party: its descriptors.
        ask: answers a query; prepared: True if the reply is cached.
    """

    def __init__(
        self,
        context: ServerContext,
        quota: ByteQuota,
        party: Party,
        listener: socket.socket,
        ask: Ask,
        prepared: Callable[[bytes], bool],
    ) -> None:
        self.context, self.quota, self.ask, self.prepared = context, quota, ask, prepared
        self._listener, self._party = listener, party
        self.open: OrderedDict[Client, None] = (
            OrderedDict()
        )  # the one that has been silent for longest comes first

    def begin(self) -> None:
        """Start accepting clients."""
        self.context.loop.watch(self._listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor left, or who has come is gone again
            self.context.loop.rest(self._listener.fileno(), ACCEPT_DELAY)
            return
        peer = self._room()
        if peer is None:
            self._party.refused += 1
            sock.close()
            return
        sock.setblocking(False)
        try:
            self.open[Client(self, sock, peer)] = None
        except OSError:  # the kernel watches no more for us (max_user_watches)
            sock.close()

    def _room(self) -> Peer | None:
        """Find a place for a new client; the one that has been silent for longest may lose its."""
        if self._full():
            self._replace()
        peer = self._party.room(PEER)
        if peer is None and self.open:
            self._replace()
            peer = self._party.room(PEER)
        return peer

    def _replace(self) -> None:
        first = next(iter(self.open))
        first.peer.shed(first, Bound.PEER)

    def _full(self) -> bool:
        limits, open_here = self.context.limits, len(self.open)
        return open_here >= limits.clients or (
            open_here >= limits.min_forwards and self.context.clients >= limits.all_clients
        )

    def touch(self, client: Client) -> None:
        """Restart the idle time of a client that has sent a query."""
        client.active = self.context.loop.now
        self.open.move_to_end(client)
        self.context.idle_timeouts.add(client)

    def close(self) -> None:
        """Close all connections, and stop accepting."""
        self.context.loop.forget(self._listener.fileno())
        for client in [*self.open]:
            client.close()


class Client(Lease):
    """Connection of one TCP client."""

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

    def __init__(self, clients: Clients, sock: socket.socket, peer: Peer) -> None:
        self._clients, self._socket = clients, sock
        self._in, self._out = bytearray(), bytearray()
        self._pending = self._held = 0
        self._busy = self._closed = self._ended = self._resting = False
        self._events = IN
        clients.context.loop.watch(sock.fileno(), IN, self._on_event)
        super().__init__(peer, clients.context.loop.now)
        clients.context.clients += 1
        clients.context.idle_timeouts.add(self)

    def _on_event(self, events: int) -> None:
        try:
            if events & IN and self._wants_input:
                received = self._socket.recv(READ)
                self._ended = not received
                self._in += received
            elif events & (ERR | HANGUP):
                self.close()
                return
            self._turn()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    @property
    def _may_answer(self) -> bool:
        """True if the server takes another query of this client."""
        return (
            len(self._out) < MAX_UNREAD and self._pending < self._clients.context.limits.pipelined
        )

    @property
    def _wants_input(self) -> bool:
        return self._may_answer and not self._ended and not self._resting

    def _turn(self) -> None:
        """Answer received queries, send pending replies, and set the events to wait for.

        After one query without a cached reply, other connections have their turn: a sandbox may
        have many clients.
        """
        costly = False
        while not costly and self._may_answer and (packet := self._next()) is not None:
            costly = not self._clients.prepared(packet)
            self._ask(packet)
        if costly and not self._resting:
            self._resting = True
            self._clients.context.loop.soon(self._resume)
        with suppress(BlockingIOError):
            while self._out:
                del self._out[: self._socket.send(self._out)]
        if not self._within_quota() or (self._ended and not self._pending and not self._out):
            self.close()
            return
        events = (IN if self._wants_input else 0) | (OUT if self._out else 0)
        if events != self._events:
            self._events = events
            self._clients.context.loop.rewatch(self._socket.fileno(), events)

    def _resume(self) -> None:
        """Go on after other connections had their turn."""
        self._resting = False
        if not self._closed:
            try:
                self._turn()
            except OSError:
                self.close()

    def _next(self) -> bytes | None:
        """Take one received query out of the buffer."""
        size = int.from_bytes(self._in[:2], "big")
        if len(self._in) < 2 or len(self._in) < 2 + size:
            return None
        packet = bytes(self._in[2 : 2 + size])
        del self._in[: 2 + size]
        return packet

    def _ask(self, packet: bytes) -> None:
        """Ask for the reply to a query."""
        self._clients.touch(self)
        self._pending, self._busy = self._pending + 1, True
        try:
            if not self._clients.ask(packet, lambda tail: self._answer(packet[:2] + tail)):
                self._pending -= 1
        finally:
            self._busy = False

    def _answer(self, answer: bytes) -> None:
        """Send a reply, now or when the client reads."""
        if self._closed:
            return
        self._pending -= 1
        self._out += len(answer).to_bytes(2, "big") + answer
        if not self._busy:
            try:
                self._turn()
            except OSError:
                self.close()

    def _within_quota(self) -> bool:
        """Count the buffered bytes of this client; False if they exceed a limit."""
        quota, size = self._clients.quota, max(0, len(self._in) + len(self._out) - UNCOUNTED)
        if size > self._held and not quota.reserve(size - self._held):
            return False
        quota.release(max(0, self._held - size))
        self._held = size
        return True

    def expire(self) -> None:
        """Close the connection, unless the client waits for an upstream server."""
        if self._pending:
            self._clients.context.idle_timeouts.add(self)  # it waits for others, as we do
        else:
            self.close()

    def shed(self) -> None:
        """Close the connection, as its descriptor is another client's by now."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._closed:
            return
        self._closed = True
        self.release()
        context = self._clients.context
        self._clients.open.pop(self, None)
        context.clients -= 1
        context.idle_timeouts.discard(self)
        self._clients.quota.release(self._held)
        context.loop.forget(self._socket.fileno())
        self._socket.close()
