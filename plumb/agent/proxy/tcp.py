"""The user-land proxy for streams.

What arrives at a port of the host is handed on to a container, in the host's name.

A published port is DNAT's business, and nearly all packets go that way. But DNAT leaves out what
comes from where its answers would not find back: connections of the host to 127.0.0.1 and ::1,
which no other interface may carry; of a container to a port that is published on its own network,
whose answers the bridge would deliver without the host; and of IPv6 clients to a container that has
IPv4 only. There a real connection ends at the host and a second one begins. Docker starts a process
for each port that does this; here all ports share one loop.

    client ──> accept ─┐                                    the container sees the host's address on the bridge, not
                       ├ a connection: two sockets, two     the client's: that is the price of a proxy
    target <── connect ┘ flows, one each way

A flow takes from one socket and gives to the other, by way of a pipe (see `vessels`). What TCP says
beside the bytes is handed on too: an end of stream goes one way only, the other way stays open
(half-close, RFC 9293, 3.6); a reset on one side becomes a reset on the other, so that nobody takes
a stream that was cut off for one that is complete; a client whose container refuses gets a reset.

The loop says when a socket *becomes* readable or writable (edge-triggered), which costs one call of
epoll_ctl for all its life. So each side remembers what it is until a call says that it is no
longer.
"""

from __future__ import annotations

import errno
import socket
import struct

from plumb.agent.loop import EDGE, ERR, HANGUP, IN, OUT, PRI, Loop
from plumb.agent.proxy.splice import Buffer, Pool, SpliceBuffer

ROUNDS = 2
"""How often a flow fills a pipe (1 MiB) before it is the others' turn."""
ACCEPTED = 32
"""Clients that are accepted before it is the others' turn."""
PAUSE = 0.1
"""Seconds without accepting, when there are no descriptors or no memory left."""
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 9))
"""Seconds of silence before a peer is asked whether it is still there, between questions, and questions: as docker-proxy's (Go's)."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: close sends a reset."""
UNPACED = b"reno"
"""A congestion control that sends as fast as the window allows; every kernel has it."""


class Side:
    """One of a connection's two sockets, and what is known of it."""

    __slots__ = ("hangup", "number", "readable", "socket", "urgent", "writable")

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.number = sock, sock.fileno()
        self.readable = self.writable = self.hangup = self.urgent = False

    def note(self, events: int) -> None:
        """Remember what the kernel says."""
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
    """One direction of a connection: from a source to a sink.

    It has ended when the source's end was read, or it broke.
    """

    __slots__ = ("_pool", "_spliced", "_vessel", "ended", "sink", "source")

    def __init__(self, source: Side, sink: Side, pool: Pool, spliced: bool) -> None:
        self.source, self.sink, self.ended = source, sink, False
        self._pool, self._spliced = pool, spliced
        self._vessel: SpliceBuffer | None = None

    def pump(self) -> bool:
        """Move bytes, for a turn; whether there is more that could be moved at once.

        Nothing is taken that cannot be given: what the sink does not take stays in the source's
        receive queue, its window closes, and the sender waits.

        Raises:
            OSError: one of the two sides is broken.
        """
        source, sink = self.source, self.sink
        for _ in range(ROUNDS):
            if not sink.writable or not (self._vessel or self._fill()):
                return False
            assert self._vessel is not None
            try:
                self._vessel.drain(sink.number)
            except BlockingIOError:
                sink.writable = False
                return False
            if not self._vessel.held:
                self.let_go()
        return source.readable or self._vessel is not None

    def _fill(self) -> bool:
        """Take what the source has; whether it had anything."""
        source = self.source
        if not source.readable:
            return False
        self._vessel = vessel = (
            self._pool.take() if self._spliced and not source.urgent else Buffer()
        )
        try:
            taken = vessel.fill(source.number)
        except BlockingIOError:
            source.readable = False
            taken = -1
        if taken <= 0:
            self.let_go()
            self.ended = taken == 0
            return False
        # An end that came with these bytes has been announced already, and no event will tell of it
        # again.
        if vessel.exhausted(taken) and not source.hangup:
            source.readable = False
        return True

    def let_go(self) -> None:
        """Give the vessel back."""
        if self._vessel is not None:
            self._pool.give(self._vessel)
            self._vessel = None


class Connection:
    """A client's connection and the one to the container, as one.

    Raises:
        OSError: it cannot be watched; both are reset.
    """

    __slots__ = ("_back", "_broken", "_client", "_forth", "_proxy", "_queued", "_target")

    def __init__(self, proxy: StreamProxy, client: socket.socket, target: socket.socket) -> None:
        self._proxy, self._client, self._target = proxy, Side(client), Side(target)
        self._forth = Flow(self._client, self._target, proxy.pool, proxy.spliced)
        self._back = Flow(self._target, self._client, proxy.pool, proxy.spliced)
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
        self._note(self._client, events)

    def _on_target(self, events: int) -> None:
        self._note(self._target, events)

    def _note(self, side: Side, events: int) -> None:
        side.note(events)
        if events & ERR and side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._broken = True  # reset, refused, or silent for too long
        if not self._queued:
            self._turn()

    def _turn(self) -> None:
        """Move what can be moved, then see whether that was all."""
        self._queued = False
        if self not in self._proxy.connections:
            return  # it was cut off while it waited for its turn
        more = False
        for flow, other in ((self._forth, self._back), (self._back, self._forth)):
            if not flow.ended:
                more |= self._pump(flow, other)
        if more:
            self._queued = True
            self._proxy.loop.soon(self._turn)
        elif self._broken:
            self.abort()
        elif self._forth.ended and self._back.ended:
            self._close()

    def _pump(self, flow: Flow, other: Flow) -> bool:
        try:
            more = flow.pump()
            if flow.ended and not (other.ended or self._broken):
                flow.sink.socket.shutdown(socket.SHUT_WR)
            return more
        except OSError:
            flow.ended = True
            flow.let_go()
            # What the broken side has said before it broke can still be read.
            more, self._broken = not self._broken, True
            return more

    def abort(self) -> None:
        """Cut it off: a reset to both sides."""
        self._let_go()
        for side in (self._client, self._target):
            _reset(side.socket)

    def _close(self) -> None:
        self._let_go()
        for side in (self._client, self._target):
            side.socket.close()

    def _let_go(self) -> None:
        self._forth.let_go()
        self._back.let_go()
        for side in (self._client, self._target):
            self._proxy.loop.forget(side.number)
        self._proxy.connections.discard(self)


class StreamProxy:
    """Hands on the connections of one listening socket, TCP's or SCTP's.

    Args:
        loop: whom to ask to be called.
        listener: a listening socket that does not block; it stays the caller's.
        target: the container's address and port.
        pool: the pipes of all proxies.
    """

    def __init__(
        self, loop: Loop, listener: socket.socket, target: tuple[str, int], pool: Pool
    ) -> None:
        self.loop, self.pool = loop, pool
        self.spliced = listener.proto != socket.IPPROTO_SCTP
        self.connections: set[Connection] = set()
        self._listener, self._target = listener, target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._paced = False
        if self.spliced:
            _configure(listener)  # whatever is accepted inherits it
            self._paced = listener.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16
            ).startswith(b"bbr")
        loop.watch(listener.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        for _ in range(ACCEPTED):
            if self.loop.full:
                return self.loop.rest(self._listener.fileno(), PAUSE)
            try:
                client, peer = self._listener.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in FULL:
                    return self.loop.rest(self._listener.fileno(), PAUSE)
                continue  # a client that has gone while it waited (ECONNABORTED)
            try:
                self.connections.add(Connection(self, client, self._connecting(client, peer[0])))
            except OSError:  # no route, no descriptor, no memory
                _reset(client)
        return None

    def _connecting(self, client: socket.socket, peer: str) -> socket.socket:
        """A socket on its way to the container; it is writable once it is there."""
        client.setblocking(False)
        target = socket.socket(
            self._family,
            socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            self._listener.proto,
        )
        try:
            if self.spliced:
                _configure(target)
            if self._paced:
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
        """Accept nobody any more, and cut off all connections and whoever waits to be accepted."""
        self.loop.unwatch(self._listener.fileno())
        for connection in [*self.connections]:
            connection.abort()
        while True:
            try:
                _reset(self._listener.accept()[0])
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in FULL:
                    return


def _reset(sock: socket.socket) -> None:
    """Close with a reset; what is closed stays so."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()


def _configure(sock: socket.socket) -> None:
    """What docker-proxy has on its TCP sockets.

    No waiting for more to send, and asking silent peers whether they live.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
