"""Contention: requests that want the same at once, in one manager and between managers.

Managers decide by transactions that hold only if nothing has changed since they looked; the one
that is late looks again. Within a manager the requests for one network take turns, in the order in
which they came, so that just managers compete with each other.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from plumb.errors import KernelRefused

LONGEST = 30.0
"""Seconds after which a request that always came too late is refused."""
PAUSE = 0.008
"""Seconds that a request waits at most before it looks again."""


class Turns:
    """Queues, each with a name: who came first is first."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._queues: dict[str, deque[Lock]] = {}

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Wait for the others of that queue, and hold up those behind for a with block."""
        mine = Lock()
        mine.acquire()
        with self._guard:
            queue = self._queues.setdefault(name, deque())
            queue.append(mine)
            if len(queue) == 1:
                mine.release()
        with mine:
            try:
                yield
            finally:
                self._next(name, queue)

    def _next(self, name: str, queue: deque[Lock]) -> None:
        with self._guard:
            queue.popleft()
            if queue:
                queue[0].release()
            else:
                del self._queues[name]


def attempts(doing: str) -> Iterator[int]:
    """Number the attempts of a transaction, from 0, with a pause before each but the first.

    The more often a request was late the shorter it pauses: those that wait longest are ahead of
    newcomers.

    Raises:
        KernelRefused: it was late too often.
    """
    deadline = time.monotonic() + LONGEST
    lost = 0
    while time.monotonic() < deadline:
        yield lost
        lost += 1
        time.sleep(random.uniform(0, PAUSE / lost))
    raise KernelRefused(
        doing, 0, f"other managers were faster {lost} times in {LONGEST:.0f} s", "ask again"
    )
