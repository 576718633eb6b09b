"""One epoll loop for all sockets of a process.

Whoever has a descriptor says what to call when something comes.

No thread and no process stands behind a socket, only an entry in a table: a thousand published
ports cost what one costs. Who is called does a bounded piece of work and returns; what is left over
it puts behind everybody else's (`soon`), so that one bulk transfer does not keep a thousand small
ones waiting.
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
"""The other side has nothing more to say: it has shut down its direction, closed, or reset."""
BATCH = 256
"""Events that are fetched in one call."""

Callback = Callable[[int], None]


class Timer:
    """A call that is due at a moment; `cancel` makes it void."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due, self.call = due, call

    def cancel(self) -> None:
        """It will not be called."""
        self.call = _nothing

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


def _nothing() -> None:
    """What a cancelled timer does."""


class Loop:
    """Waits for descriptors and moments, and calls whoever asked.

    A callback may be called with events of a descriptor that was closed a moment ago and whose
    number is another one's by now: so events are hints, and only what the system call says counts.

    Args:
        room: how many descriptors it watches before it is full.
        on_failure: is told of an exception that a callback let through; that callback's descriptor
        is watched no more.
    """

    def __init__(
        self, room: int = 1 << 20, on_failure: Callable[[Exception], None] | None = None
    ) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callback] = {}
        self._ready: deque[Callable[[], None]] = deque()
        self._timers: list[Timer] = []
        self._room, self._on_failure = room, on_failure
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether new clients had better wait, so that descriptors are left for what must not fail."""
        return len(self._watched) >= self._room

    def watch(self, descriptor: int, events: int, callback: Callback) -> None:
        """Call it with the events of a descriptor, until it is forgotten."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """A descriptor that is about to be closed, which takes it out of the kernel's table by itself."""
        self._watched.pop(descriptor, None)

    def unwatch(self, descriptor: int) -> None:
        """A descriptor that stays open is not watched for now."""
        if self._watched.pop(descriptor, None) is not None:
            with suppress(OSError):  # it was closed
                self._epoll.unregister(descriptor)

    def rewatch(self, descriptor: int, events: int) -> None:
        """Other events of a watched descriptor."""
        self._epoll.modify(descriptor, events)

    def rest(self, descriptor: int, seconds: float) -> None:
        """Do not look at a watched listener for a while.

        It would stay readable, and the loop would spin.
        """
        callback = self._watched.get(descriptor)
        self.rewatch(descriptor, 0)
        self.later(seconds, lambda: self._wake(descriptor, callback))

    def _wake(self, descriptor: int, callback: Callback | None) -> None:
        if callback is not None and self._watched.get(descriptor) is callback:
            self.rewatch(descriptor, IN)

    def soon(self, call: Callable[[], None]) -> None:
        """Call it when everybody else had a turn."""
        self._ready.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call it after so many seconds."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, timer)
        return timer

    def end(self) -> None:
        """`run` returns after this turn."""
        self._ended = True

    def close(self) -> None:
        """Let go of the kernel's table."""
        self._epoll.close()

    def run(self) -> None:
        """Serve until `end`."""
        while not self._ended:
            self.turn()

    def turn(self) -> None:
        """Wait, and call once whoever is due."""
        for descriptor, events in self._epoll.poll(self._patience(), BATCH):
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

    def _patience(self) -> float | None:
        if self._ready:
            return 0
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as failure:
            self.failed(failure)

    def failed(self, failure: Exception) -> None:
        """Tell whoever is told of exceptions."""
        if self._on_failure is None:
            raise failure
        self._on_failure(failure)
