"""Journal of events: two files under the root, of Docker's JSON, one event a line.

Each operation appends its events at once, when it has been done. Where they cannot be written, as
on a full disk, they are lost, and the operation counts all the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING

from plumb.kernel.process.logs.bounded_file import BoundedFile

if TYPE_CHECKING:
    from plumb.kernel.events.inotify import Watch
    from plumb.kernel.process.logs.growing_files import GrowingFiles
    from plumb.model.lifecycle.events import Document, Event

SIZE, FILES = 4 << 20, 2
"""Bytes of a file, and how many there are: ten thousand events and more."""


def append(path: str, events: Iterable[Event]) -> None:
    """Append events, at the present time.

    Args:
        path: `Layout.events`.
    """
    now = time.time_ns()
    documents = [event.document(now + number) for number, event in enumerate(events)]
    lines = [json.dumps(document, separators=(",", ":")).encode() + b"\n" for document in documents]
    if lines:
        with suppress(OSError), _alone(path):
            file = BoundedFile(path, SIZE, FILES)
            try:
                file.append(lines)
            finally:
                file.close()


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """Lock the file that has the name, since another process may rename it when it is full."""
    while True:
        locked = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(locked, fcntl.LOCK_EX)
            if os.stat(path).st_ino == os.fstat(locked).st_ino:
                yield
                return
        finally:
            os.close(locked)


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
        """Watch the root, or the folder in which it will be."""
        from plumb.kernel.events.inotify import Watch  # lazy: its ctypes takes 4 ms
        from plumb.kernel.process.logs.growing_files import GrowingFiles

        number = _number(self._root)
        watch = Watch(self._root if number else os.path.dirname(self._root))
        return watch, GrowingFiles(self._path, FILES), number

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
        """Read the events that were added since the last call."""
        return [json.loads(line) for line in self._log.more() if line.startswith(b"{")]

    def wait(self, seconds: float | None, *others: int) -> None:
        """Return when files under the root have changed, or so many seconds are over.

        Args:
            others: descriptors; it returns when one of them is readable, too.
        """
        self._watch.wait(*others, seconds=seconds)
        if _number(self._root) != self._number:
            self._log.close()
            self._watch.close()
            self._watch, self._log, self._number = self._open()


def _number(folder: str) -> int:
    """Return the inode number of a folder, 0 where there is none."""
    try:
        return os.stat(folder).st_ino
    except FileNotFoundError:
        return 0
