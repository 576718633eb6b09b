"""File of the events' journal, as its writers have it.

The standard library only, and little of that: a process that waits for a command of `exec` appends
the event of its end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from plumb.kernel.process.logs.bounded_file import BoundedFile

SIZE, FILES = 4 << 20, 2
"""Bytes of a file, and how many there are: ten thousand events and more."""
TRIES, PAUSE = 50, 0.01
"""Tries to lock the file, and the seconds between two; an append takes less than one of them."""


def append(path: str, lines: list[bytes], creation: int) -> None:
    """Append lines to the journal.

    Args:
        path: `Layout.events`.
        creation: O_CREAT to make it where it is not there, or 0.

    Raises:
        OSError: it cannot be opened or written, or another process keeps it locked
            (BlockingIOError).
    """
    locked = _locked(path, creation)
    try:
        file = BoundedFile(path, SIZE, FILES)
        try:
            file.append(lines)
        finally:
            file.close()
    finally:
        os.close(locked)


def _locked(path: str, creation: int) -> int:
    """Lock the file that has the name, since another process may rename it when it is full."""
    while True:
        locked = os.open(path, os.O_RDWR | creation | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(locked)
            same = os.stat(path).st_ino == os.fstat(locked).st_ino
        except BaseException:
            os.close(locked)
            raise
        if same:
            return locked
        os.close(locked)


def _lock(descriptor: int) -> None:
    for _ in range(TRIES):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
