"""Waiting: for a condition, never for a while, and with a deadline.

What fails says what was seen last.

On a machine that is slow, or busy, everything takes longer: `--plumb-slow=3` gives all deadlines of
this plugin three times the time, and the questions that wait for silence too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST, LONGEST = 0.002, 0.05
"""Seconds between two looks: few at first, for what comes at once."""

slow: float = 1.0
"""By how much everything may take longer; set by --plumb-slow."""


class Waited(AssertionError):
    """The time is over, and what was waited for has not come."""


class Hopeless(Waited):
    """A condition that cannot come true any more: the program that it depends on has ended."""


class Deadline:
    """A deadline on the monotonic clock.

    Attributes:
        seconds: how long there is in all, --plumb-slow included.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds * slow
        self._end = time.monotonic() + self.seconds
        self._next = FIRST

    def left(self) -> float:
        """Seconds that are left, 0 when it has come."""
        return max(self._end - time.monotonic(), 0.0)

    def over(self) -> bool:
        """True if the deadline has passed."""
        return self.left() <= 0

    def pause(self) -> float:
        """Seconds to wait before the next look: longer each time, not beyond the deadline."""
        self._next, now = min(self._next * 1.5, LONGEST), self._next
        return min(now, self.left())


def wait(
    condition: Callable[[], T],
    what: str,
    seconds: float = 10.0,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """Wait until a condition holds; what it gave.

    Args:
        condition: gives something true when it holds. An AssertionError of its own counts as "not
        yet".
        what: what is waited for, for the message.
        seconds: how long, before --plumb-slow.
        pause: waits for a change, at most that many seconds.

    Raises:
        Waited: it does not hold when the time is over; the message has what the condition gave
        last.
    """
    __tracebackhide__ = True
    deadline = Deadline(seconds)
    while True:
        last: object
        try:
            value = condition()
            if value:
                return value
            last = repr(value)
        except Hopeless:
            raise
        except AssertionError as error:
            last = error
        if deadline.over():
            raise Waited(f"waited {deadline.seconds:g} s in vain for {what}\nlast seen: {last}")
        pause(deadline.pause())
