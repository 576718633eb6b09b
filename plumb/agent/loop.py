"""Event loop of the agent: one epoll instance for all sockets of the process.

The owner of a file descriptor registers a callback for its events.

A socket needs no thread and no process, only an entry in a table: a thousand published ports cost
what one costs. A callback does a bounded piece of work and returns; it queues the rest behind all
others (`soon`), so that one bulk transfer does not delay a thousand small ones.
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

IN, OUT, PRI, ERR, EDGE = (
    select.EPOLLIN,
    select.EPOLLOUT,
    select.EPOLLPRI,
    select.EPOLLERR,
    select.EPOLLET,
)
HANGUP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
"""Events that mean no more data: the peer has shut down its direction, closed, or reset."""
BATCH = 256
"""Events that are fetched in one call."""

Callback = Callable[[int], None]


class Timer:
    """Call at a point in time; `cancel` voids it."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due, self.call = due, call

    def cancel(self) -> None:
        """Void the call."""
        self.call = _do_nothing

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


def _do_nothing() -> None:
    """Stand in for the call of a cancelled timer."""


class Loop:
    """Waits for file descriptors and timers, and runs their callbacks.

    A callback may get events of a descriptor that was closed a moment ago and whose number now
    belongs to another: events are hints, and only the result of the system call counts.

    Args:
        on_failure: takes exceptions of callbacks; the callback's descriptor is watched no more.

    Attributes:
        now: time.monotonic() when the events of this turn came.
    """

    def __init__(self, on_failure: Callable[[Exception], None] | None = None) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callback] = {}
        self._ready: deque[Callable[[], None]] = deque()
        self._timers: list[Timer] = []
        self._on_failure = on_failure
        self._ended = False
        self.now = time.monotonic()

    def watch(self, descriptor: int, events: int, callback: Callback) -> None:
        """Call back with the events of a descriptor, until `forget`."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching a descriptor that is about to be closed; close removes it from epoll."""
        self._watched.pop(descriptor, None)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor that stays open."""
        if self._watched.pop(descriptor, None) is not None:
            with suppress(OSError):  # it was closed
                self._epoll.unregister(descriptor)

    def rewatch(self, descriptor: int, events: int) -> None:
        """Change the events of a watched descriptor."""
        self._epoll.modify(descriptor, events)

    def rest(self, descriptor: int, seconds: float) -> None:
        """Ignore a watched listener for a while.

        It would stay readable, and the loop would spin.
        """
        callback = self._watched.get(descriptor)
        self.rewatch(descriptor, 0)
        self.later(seconds, lambda: self._resume(descriptor, callback))

    def _resume(self, descriptor: int, callback: Callback | None) -> None:
        if callback is not None and self._watched.get(descriptor) is callback:
            self.rewatch(descriptor, IN)

    def soon(self, call: Callable[[], None]) -> None:
        """Call after all other pending callbacks."""
        self._ready.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call after so many seconds."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, timer)
        return timer

    def end(self) -> None:
        """Make `run` return after this turn."""
        self._ended = True

    def close(self) -> None:
        """Close the epoll instance."""
        self._epoll.close()

    def run(self) -> None:
        """Serve until `end`."""
        while not self._ended:
            self.turn()

    def turn(self) -> None:
        """Wait, and run each callback that is due once."""
        ready = self._epoll.poll(self._poll_timeout(), BATCH)
        self.now = time.monotonic()
        for descriptor, events in ready:
            callback = self._watched.get(descriptor)
            if callback is not None:
                try:
                    callback(events)
                except Exception as failure:
                    self.unwatch(descriptor)
                    self.failed(failure)
        for _ in range(len(self._ready)):
            self._call(self._ready.popleft())
        while self._timers and self._timers[0].due <= time.monotonic():
            self._call(heapq.heappop(self._timers).call)

    def _poll_timeout(self) -> float | None:
        if self._ready:
            return 0
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as failure:
            self.failed(failure)

    def failed(self, failure: Exception) -> None:
        """Pass an exception to `on_failure`; raise it if there is none."""
        if self._on_failure is None:
            raise failure
        self._on_failure(failure)
