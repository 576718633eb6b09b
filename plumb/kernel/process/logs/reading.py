"""Reader of a log: what is kept of a detached command's output, and what is added to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

from plumb.frozen import frozen
from plumb.kernel.process import commands
from plumb.kernel.process.logs import json_file
from plumb.kernel.process.logs.growing_files import GrowingFiles


@frozen
class Entry:
    """Line of a log.

    Attributes:
        time: as of `json_file.padded`; empty: an older plumb wrote the line, which kept no times.
        stream: "stdout" or "stderr".
        text: with its newline, unless it is a part of a longer line, or the last without one.
    """

    time: str
    stream: str
    text: bytes


@frozen
class Span:
    """Part of a log that is asked for.

    Attributes:
        since, until: times as of `json_file.padded`; empty: without a limit.
        tail: so many of the last lines alone, before `since` and `until` count; None: all.
    """

    since: str = ""
    until: str = ""
    tail: int | None = None

    def holds(self, entry: Entry) -> bool:
        """Tell whether an entry's time is in the span; one without a time is the oldest."""
        return self.since <= entry.time and not self.is_over(entry)

    def is_over(self, entry: Entry) -> bool:
        """Tell whether an entry comes after the span."""
        return bool(self.until) and entry.time > self.until

    def tailed(self, lines: list[bytes]) -> list[bytes]:
        """Return the last lines, or all."""
        return lines if self.tail is None else lines[len(lines) - min(self.tail, len(lines)) :]


def entries(lines: list[bytes]) -> list[Entry]:
    """Decode lines of a log."""
    return [Entry(*json_file.decode(line)) for line in lines]


def read(folder: str, files: int) -> list[bytes]:
    """Read the lines that are kept, the oldest first, in the form in which they are kept.

    Args:
        folder: the container's.
        files: how many there are at most, as `Sandbox.log_files`.
    """
    with closing(GrowingFiles(f"{folder}/log", files)) as log:
        return [*log.more(), *log.last()]


def follow(folder: str, files: int) -> Iterator[list[bytes]]:
    """Yield the lines that are kept, then those that are added, until the command has ended.

    Those of a later start are not among them.

    Args:
        folder, files: as of `read`.
    """
    with closing(GrowingFiles(f"{folder}/log", files)) as log:
        yield from _until_the_end(folder, log)


def follow_start(folder: str, files: int, start: Callable[[], object]) -> Iterator[list[bytes]]:
    """Start a command, and yield the lines that it adds, until it has ended.

    Args:
        folder, files: as of `read`.
        start: starts it.
    """
    with closing(GrowingFiles(f"{folder}/log", files)) as log:
        log.more()  # what earlier starts have printed
        start()
        yield from _until_the_end(folder, log)


def _until_the_end(folder: str, log: GrowingFiles) -> Iterator[list[bytes]]:
    from plumb.kernel.events.inotify import Watch  # lazy: its ctypes takes 4 ms

    with Watch(folder) as watch:
        first = writer(folder)
        while True:
            shim = writer(folder)  # before the files are read, so that nothing is missed
            yield log.more()
            if not shim or shim != first:
                yield log.last()
                return
            with ExitStack() as stack, suppress(ProcessLookupError):
                ended = os.pidfd_open(shim)
                stack.callback(os.close, ended)
                watch.wait(ended)


def writer(folder: str) -> int:
    """Return the pid of the shim that writes a log; 0 if nothing will be added."""
    return commands.alive(folder)[1] if commands.exit_code(folder) is None else 0
