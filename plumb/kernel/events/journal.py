"""Journal of events: two files under the root, of Docker's JSON, one event a line.

Each operation appends its events at once, when it has been done. Where they cannot be written, as
on a full disk, they are lost, and the operation counts all the same. So are those that another
process keeps from the file for long: the agent's loop must not stand still for them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from plumb.kernel.events import journal_file
from plumb.kernel.events.journal_file import FILES

if TYPE_CHECKING:
    from plumb.kernel.events.inotify import Watch
    from plumb.kernel.process.logs.growing_files import GrowingFiles
    from plumb.model.lifecycle.events import Document, Event


def append(path: str, events: Iterable[Event]) -> None:
    """Append events, at the present time; never fail for them, as what they tell has been done.

    Args:
        path: `Layout.events`.
        events: those that raise OSError or ValueError while they are made are lost, too.
    """
    with suppress(OSError, ValueError):
        now = time.time_ns()
        lines = [line(event.document(now + number)) for number, event in enumerate(events)]
        if lines:
            journal_file.append(path, lines, os.O_CREAT)


def line(document: Document) -> bytes:
    """An event as a line of the journal."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


class Journal:
    """Reader of the journal, in a with block; the root may be made, and made again, meanwhile.

    Args:
        root: the root's folder; path: `Layout.events`, in it.

    Raises:
        OSError: it cannot be watched.
    """

    def __init__(self, root: str, path: str) -> None:
        self._root, self._path = root, path
        self._watch, self._log, self._number = self._open()

    def _open(self) -> tuple[Watch, GrowingFiles, int]:
        """Watch the root, or the folder in which it will be.

        The root may come or go between the look at it and the watch: then both are done again.
        """
        from plumb.kernel.events.inotify import Watch  # lazy: its ctypes takes 4 ms
        from plumb.kernel.process.logs.growing_files import GrowingFiles

        while True:
            number = _number(self._root)
            try:
                watch = Watch(self._root if number else os.path.dirname(self._root))
            except FileNotFoundError:
                if not number:  # nor is the folder there in which it would be
                    raise
                continue
            if _number(self._root) == number:
                return watch, GrowingFiles(self._path, FILES), number
            watch.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.close()
        self._watch.close()

    def more(self) -> list[Document]:
        """Read the events that were added since the last call.

        A line that cannot be read, as after the machine went down within an append, is passed over.
        """
        found: list[Document] = []
        for line in self._log.more():
            with suppress(ValueError):
                document = json.loads(line)
                found += [document] if isinstance(document, dict) else []
        return found

    def wait(self, seconds: float | None, *others: int) -> None:
        """Return when files under the root have changed, or so many seconds are over.

        Args:
            others: descriptors; it returns when one of them is readable, too.
        """
        gone = self._watch.wait(*others, seconds=seconds)
        if gone or _number(self._root) != self._number:  # a new root may have the old one's number
            self._log.close()
            self._watch.close()
            self._watch, self._log, self._number = self._open()


def _number(folder: str) -> int:
    """Return the inode number of a folder, 0 where there is none."""
    try:
        return os.stat(folder).st_ino
    except FileNotFoundError:
        return 0
