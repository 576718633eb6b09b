"""User-land proxy for streams: it forwards connections to a port of the host to a container.

DNAT handles a published port, and nearly all packets take that route. But the DNAT rules exclude
packets whose replies would not find back: from the host to 127.0.0.1 and ::1, which no other
interface may carry; from a container to a port that is published on its own network, as the bridge
would deliver the replies without the host; and from IPv6 clients to a container that has IPv4 only.
For these the client's connection ends at the host, and the proxy opens a second one. Docker starts
a process for each port that does this; here all ports share one event loop.

    client ──> accept ─┐                                    the container sees the host's address
                       ├ a connection: two sockets, two     on the bridge, not the client's: that
    target <── connect ┘ flows, one each way                is the price of a proxy

A flow reads from one socket and writes to the other, through a pipe (see `splice`). The proxy
passes TCP's signals on too: the end of a stream closes one direction only, the other stays open
(half-close, RFC 9293, 3.6); a reset on one side becomes a reset on the other, so that nobody takes
a truncated stream for a complete one; a client whose container refuses the connection gets a reset.

A connection is a lease of two file descriptors (`shares`). At a bound the connection that has been
silent for longest may be closed for a newcomer, or the newcomer gets a reset: left in the accept
queue it would keep those of other addresses behind it waiting.

epoll reports when a socket *becomes* readable or writable (edge-triggered), which takes one
epoll_ctl for the socket's whole life. So each side stores its state until a call says that it has
changed.
"""

from __future__ import annotations

import errno
import socket
import struct

from plumb.agent.loop import EDGE, ERR, HANGUP, IN, OUT, PRI, Loop
from plumb.agent.proxy.splice import Buffer, Pool, SpliceBuffer
from plumb.agent.shares import Lease, Party, Peer, peer_of

MAX_FILLS = 2
"""Fills of a pipe (1 MiB each) before other connections have their turn."""
MAX_ACCEPTS = 32
"""Clients that are accepted before other sockets have their turn."""
ACCEPT_DELAY = 0.1
"""Seconds without accepting when no file descriptor or memory is left."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 9))
"""Seconds of silence before the first keepalive probe, seconds between probes, and their number.

As docker-proxy's (Go's).
"""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a linger time of zero: close sends a reset."""
UNPACED = b"reno"
"""Congestion control that sends as fast as the window allows; every kernel has it."""


class Side:
    """Socket of a connection, with its state: the client's or the target's."""

    __slots__ = ("hangup", "number", "readable", "socket", "urgent", "writable")

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.number = sock, sock.fileno()
        self.readable = self.writable = self.hangup = self.urgent = False

    def update(self, events: int) -> None:
        """Store the state that epoll has reported."""
        if events & OUT:
            self.writable = True
        if events & (IN | PRI | HANGUP):
            self.readable = True
            if events & HANGUP:
                self.hangup = True
            if events & PRI and not self.urgent:
                # The urgent byte is handed on where it stands in the stream: most servers that use
                # it ask for that.
                self.urgent = True
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


class Flow:
    """Direction of a connection: from a source to a sink.

    It has ended when the source's end of stream was read, or when a socket failed.
    """

    __slots__ = ("_buffer", "_pool", "_spliced", "ended", "sink", "source")

    def __init__(self, source: Side, sink: Side, pool: Pool, spliced: bool) -> None:
        self.source, self.sink, self.ended = source, sink, False
        self._pool, self._spliced = pool, spliced
        self._buffer: SpliceBuffer | None = None

    def pump(self) -> bool:
        """Move bytes, for one turn; True if more could be moved at once.

        The proxy reads nothing that it cannot write: what the sink does not accept stays in the
        source's receive queue, its window closes, and the sender waits.

        Raises:
            OSError: one of the two sockets failed.
        """
        source, sink = self.source, self.sink
        for _ in range(MAX_FILLS):
            if not sink.writable or not (self._buffer or self._fill()):
                return False
            assert self._buffer is not None
            try:
                self._buffer.drain(sink.number)
            except BlockingIOError:
                sink.writable = False
                return False
            if not self._buffer.held:
                self.release()
        return source.readable or self._buffer is not None

    def _fill(self) -> bool:
        """Read what the source has; True if it had anything."""
        source = self.source
        if not source.readable:
            return False
        self._buffer = buffer = (
            self._pool.take() if self._spliced and not source.urgent else Buffer()
        )
        try:
            received = buffer.fill(source.number)
        except BlockingIOError:
            source.readable = False
            received = -1
        if received <= 0:
            self.release()
            self.ended = received == 0
            return False
        # An end that came with these bytes has been announced already, and no event will tell of it
        # again.
        if buffer.exhausted(received) and not source.hangup:
            source.readable = False
        return True

    def release(self) -> None:
        """Give the buffer back to the pool."""
        if self._buffer is not None:
            self._pool.give(self._buffer)
            self._buffer = None


class Connection(Lease):
    """Client's connection together with the one to the container.

    Raises:
        OSError: epoll cannot watch the sockets; both are reset.
    """

    __slots__ = ("_broken", "_client", "_proxy", "_queued", "_target", "_to_client", "_to_target")
    cost = 2

    def __init__(
        self, proxy: StreamProxy, client: socket.socket, target: socket.socket, peer: Peer
    ) -> None:
        super().__init__(peer, proxy.loop.now)
        self._proxy, self._client, self._target = proxy, Side(client), Side(target)
        self._to_target = Flow(self._client, self._target, proxy.pool, proxy.spliced)
        self._to_client = Flow(self._target, self._client, proxy.pool, proxy.spliced)
        self._queued = self._broken = False
        try:
            for side, callback in (
                (self._client, self._on_client),
                (self._target, self._on_target),
            ):
                proxy.loop.watch(side.number, IN | OUT | PRI | HANGUP | EDGE, callback)
        except OSError:
            self.abort()
            raise

    def _on_client(self, events: int) -> None:
        self._on_event(self._client, events)

    def _on_target(self, events: int) -> None:
        self._on_event(self._target, events)

    def _on_event(self, side: Side, events: int) -> None:
        side.update(events)
        self.active = self._proxy.loop.now
        if events & ERR and side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._broken = True  # reset, refused, or silent for too long
        if not self._queued:
            self._pump_both()

    def _pump_both(self) -> None:
        """Move bytes in both directions, and close the connection if both have ended."""
        self._queued = False
        if self not in self._proxy.connections:
            return  # it was cut off while it waited for its turn
        more = False
        for flow, reverse in (
            (self._to_target, self._to_client),
            (self._to_client, self._to_target),
        ):
            if not flow.ended:
                more |= self._pump_flow(flow, reverse)
        if more:
            self._queued = True
            self._proxy.loop.soon(self._pump_both)
        elif self._broken:
            self.abort()
        elif self._to_target.ended and self._to_client.ended:
            self._close()

    def _pump_flow(self, flow: Flow, reverse: Flow) -> bool:
        try:
            more = flow.pump()
            if flow.ended and not (reverse.ended or self._broken):
                flow.sink.socket.shutdown(socket.SHUT_WR)
            return more
        except OSError:
            flow.ended = True
            flow.release()
            # What the broken side has said before it broke can still be read.
            more, self._broken = not self._broken, True
            return more

    def abort(self) -> None:
        """Reset both sockets."""
        self._release()
        for side in (self._client, self._target):
            _reset(side.socket)

    def shed(self) -> None:
        """Reset both sockets, as their descriptors are another client's by now."""
        self.abort()

    def _close(self) -> None:
        self._release()
        for side in (self._client, self._target):
            side.socket.close()

    def _release(self) -> None:
        self._to_target.release()
        self._to_client.release()
        for side in (self._client, self._target):
            self._proxy.loop.forget(side.number)
        self._proxy.connections.discard(self)
        self.release()


class StreamProxy:
    """Proxy of one listening socket, TCP's or SCTP's.

    Args:
        loop: the event loop.
        listener: a non-blocking listening socket; the caller closes it.
        target: the container's address and port.
        pool: the pipes of all proxies.
        party: counts the descriptors of its connections.
    """

    def __init__(
        self, loop: Loop, listener: socket.socket, target: tuple[str, int], pool: Pool, party: Party
    ) -> None:
        self.loop, self.pool, self._party = loop, pool, party
        self.spliced = listener.proto != socket.IPPROTO_SCTP
        self.connections: set[Connection] = set()
        self._listener, self._target = listener, target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._is_bbr = False
        if self.spliced:
            _configure(listener)  # whatever is accepted inherits it
            self._is_bbr = listener.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16
            ).startswith(b"bbr")
        loop.watch(listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        """Accept clients; at a bound one for each turn, so that other ports' clients come first."""
        met = self._party.met
        for _ in range(MAX_ACCEPTS):
            if self._party.met != met:
                return None
            try:
                client, peer = self._listener.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in EXHAUSTED:
                    return self.loop.rest(self._listener.fileno(), ACCEPT_DELAY)
                continue  # a client that has gone while it waited (ECONNABORTED)
            self._begin(client, peer[0])
        return None

    def _begin(self, client: socket.socket, ip: str) -> None:
        """Begin a client's connection to the container, or reset it."""
        peer = self._party.room(peer_of(ip), Connection.cost, self.loop.now)
        if peer is None:
            self._party.refused += 1
            _reset(client)
            return
        try:
            self.connections.add(Connection(self, client, self._connect(client, ip), peer))
        except OSError:  # no route, no descriptor, no memory
            _reset(client)

    def _connect(self, client: socket.socket, peer: str) -> socket.socket:
        """Begin to connect a socket to the container; it becomes writable when it is connected."""
        client.setblocking(False)
        target = socket.socket(
            self._family,
            socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            self._listener.proto,
        )
        try:
            if self.spliced:
                _configure(target)
            if self._is_bbr:
                # BBR measures the way and sends no faster than that. Where no packet leaves the
                # host it measures the scheduler,
                # and sends at half the speed.
                target.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
                if peer.startswith("127.") or peer == "::1":
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
            target.connect(self._target)
        except BlockingIOError:
            pass
        except OSError:
            target.close()
            raise
        return target

    def close(self) -> None:
        """Stop accepting, and reset all connections, those in the accept queue too."""
        self.loop.unwatch(self._listener.fileno())
        for connection in [*self.connections]:
            connection.abort()
        while True:
            try:
                _reset(self._listener.accept()[0])
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    return


def _reset(sock: socket.socket) -> None:
    """Close with a reset; a closed socket is left alone."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()


def _configure(sock: socket.socket) -> None:
    """Set the options that docker-proxy has on its TCP sockets: no delay, and keepalive."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
