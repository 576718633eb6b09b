"""Pages of memory that commands write to, copied by a worker before it has a command.

Commands of one server write to much the same pages, nearly all of them reference counts. Which ones
is learned of a rehearsal, and of each command that wrote to many others.
"""

from __future__ import annotations

import mmap
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress

from plumb.kernel.process.memory import pages

FEW, MANY = 300, 5000
"""Page faults of a command from which nothing is learned, and pages that a worker has while it
waits at most, 20 MB: of a command that would make them more nothing is learned either."""
TOGETHER = re.compile(rb"\x01(?:\x00{0,2}\x01)*")
"""Pages that are copied by one call: up to two between them are cheaper to copy than a call."""
BETWEEN_LOOKS = 32
"""Calls, each of about 10 µs, after which a worker looks for a caller."""


class WrittenPages:
    """Learned pages, in memory that the server shares with its forks.

    A worker that learns ends right after, and the next one waits already.
    """

    def __init__(self) -> None:
        self._spans = pages.writable()
        self._known = mmap.mmap(-1, sum(end - first for first, end in self._spans) // pages.PAGE)
        self._copied, self._faults = b"", 0

    def rehearse(self, work: Callable[[], object]) -> None:
        """Learn of work that a fork does."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        try:
            work()
            self.learn()
        finally:
            os._exit(0)

    def copy(self, is_awaited: Callable[[], bool]) -> None:
        """Copy the pages that are known.

        Args:
            is_awaited: whether somebody waits for this process, so that it has to stop.
        """
        known = self._known[:]
        self._copied = TOGETHER.sub(lambda found: b"\1" * len(found[0]), known)
        for number, span in enumerate(self._together(known)):
            if number % BETWEEN_LOOKS == 0 and is_awaited():
                break
            with suppress(OSError):  # the server has given it back
                pages.copy(*span)
        self._faults = _faults()

    def _together(self, known: bytes) -> Iterator[tuple[int, int]]:
        """Spans that are copied by one call."""
        offset = 0
        for first, end in self._spans:
            number = (end - first) // pages.PAGE
            for found in TOGETHER.finditer(known, offset, offset + number):
                yield (
                    first + (found.start() - offset) * pages.PAGE,
                    first + (found.end() - offset) * pages.PAGE,
                )
            offset += number

    def learn(self) -> None:
        """Remember the pages that this process has copied by writing to them."""
        if _faults() - self._faults < FEW:
            return
        with suppress(OSError):
            now = int.from_bytes(pages.copied(self._spans), "big")
            fresh = now & ~int.from_bytes(self._copied, "big")
            known = int.from_bytes(self._known[:], "big") | fresh
            if known.bit_count() <= MANY:
                self._known[:] = known.to_bytes(len(self._known), "big")


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
