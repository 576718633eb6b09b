"""Limits of the DNS servers of all sandboxes, and the context that these servers share.

One agent process serves every sandbox: one zone, one event loop, one set of limits. A container may
send any number of queries, well formed or not, and must not slow the other containers down. So
every resource has a limit for each sandbox and a global one. At the global limit the agent serves a
sandbox only while that sandbox is below its guaranteed minimum.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from plumb.agent.dns.zone import Zone
from plumb.agent.loop import Loop, Timer
from plumb.agent.shares import Shares

MAX_LOGGED = 100
"""Errors of plumb itself that are logged, at most.

A packet that causes one may come a million times.
"""


class Limits(NamedTuple):
    """Sizes and times, for one sandbox and for all of them.

    Numbers of forwarded queries and their timeout are Docker's; TCP's idle timeout is that of
    Docker's DNS library.

    Attributes:
        timeout: seconds that an upstream server has for its reply, and that a query may be queued.
        in_flight: queries of one sandbox that are with upstream servers; queued: that wait to be.
        forwards: queries of all sandboxes, in flight or queued.
        min_forwards: queries, in flight or queued, that each sandbox may always have, and as many
            TCP clients.
        idle_timeout: seconds without a query after which the server closes a TCP connection.
        clients: TCP clients of one sandbox; all_clients: of all sandboxes.
        pipelined: queries of one TCP client that are with upstream servers.
        held_bytes: bytes that are buffered for all sandboxes: forwarded queries, and what TCP
            clients have sent in part or have not read yet. One sandbox may have a sixteenth of it.
        min_bytes: buffered bytes that each sandbox may always have.
        cached_bytes: bytes of prepared replies of all sandboxes; one may have a sixteenth of it.
    """

    timeout: float = 4.0
    in_flight: int = 1024
    queued: int = 1024
    forwards: int = 16384
    min_forwards: int = 16
    idle_timeout: float = 8.0
    clients: int = 64
    all_clients: int = 1024
    pipelined: int = 16
    held_bytes: int = 16 << 20
    min_bytes: int = 16 << 10
    cached_bytes: int = 8 << 20


class SocketOpener(Protocol):
    """Opener of non-blocking sockets (`kernel.netns.sockets`); "" is the agent's own namespace."""

    def listen(self, ns: str, ip: str, udp: int, tcp: int) -> tuple[socket.socket, socket.socket]:
        """Open the UDP and the TCP socket of a server."""

    def dial(self, ns: str, kind: int, ip: str, port: int) -> socket.socket:
        """Open a socket, and begin to connect it."""


class Expiring(Protocol):
    """Value with a deadline."""

    def expire(self) -> None:
        """Handle that the deadline has passed."""


class Deadlines:
    """Deadlines that all have the same duration.

    The value that was added first expires first, so one timer serves them all.

    Args:
        seconds: duration of each.
    """

    def __init__(self, loop: Loop, seconds: float) -> None:
        self._loop, self._seconds = loop, seconds
        self._deadlines: OrderedDict[Expiring, float] = OrderedDict()
        self._timer: Timer | None = None

    def add(self, thing: Expiring) -> None:
        """Start the time of a value; start it anew if it runs already."""
        self._deadlines[thing] = time.monotonic() + self._seconds
        self._deadlines.move_to_end(thing)
        if self._timer is None:
            self._timer = self._loop.later(self._seconds, self._expire_late)

    def discard(self, thing: Expiring) -> None:
        """Forget the deadline of a value."""
        self._deadlines.pop(thing, None)

    def _expire_late(self) -> None:
        now = time.monotonic()
        try:
            while self._deadlines and next(iter(self._deadlines.values())) <= now:
                self._deadlines.popitem(last=False)[0].expire()
        finally:  # whatever becomes of one, the others' turn comes
            self._timer = None
            if self._deadlines:
                self._timer = self._loop.later(
                    max(0.0, next(iter(self._deadlines.values())) - now), self._expire_late
                )


class ServerContext:
    """State that all DNS servers of an agent share.

    Args:
        sockets: opens sockets.
        log: takes errors of plumb itself.
        shares: file descriptors of TCP clients and forwarded queries; a sandbox is a party.

    Attributes:
        forwards, clients: numbers for all sandboxes, see Limits.
        held_bytes: bytes that are buffered for all sandboxes, see ByteQuota.
        timeouts: deadlines of forwarded queries; idle_timeouts: of TCP clients.
    """

    def __init__(
        self,
        loop: Loop,
        sockets: SocketOpener,
        log: Callable[[Exception], None],
        shares: Shares,
        limits: Limits | None = None,
    ) -> None:
        self.shares = shares
        self.loop, self.sockets, self.limits, self.zone = loop, sockets, limits or Limits(), Zone()
        self.forwards = self.clients = 0
        self.timeouts = Deadlines(loop, self.limits.timeout)
        self.idle_timeouts = Deadlines(loop, self.limits.idle_timeout)
        self.held_bytes = 0
        self._log, self._unlogged = log, MAX_LOGGED

    def log_failure(self, failure: Exception) -> None:
        """Log an error of plumb itself; only the query that caused it fails."""
        if self._unlogged:
            self._unlogged -= 1
            self._log(failure)


class ByteQuota:
    """Buffered bytes of one sandbox, counted against its limit and the global one."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._used = 0

    def reserve(self, size: int) -> bool:
        """Count so many bytes more; False, and nothing counted, if that exceeds a limit."""
        limits, used = self._context.limits, self._used + size
        if used > limits.min_bytes and (
            used > limits.held_bytes // 16 or self._context.held_bytes + size > limits.held_bytes
        ):
            return False
        self._used = used
        self._context.held_bytes += size
        return True

    def release(self, size: int) -> None:
        """Count so many bytes less."""
        self._used -= size
        self._context.held_bytes -= size
