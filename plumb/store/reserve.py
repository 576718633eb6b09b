"""Reserve of disk space under the root, so that space can be freed where there is none.

SQLite appends a change to the write-ahead log before it makes anything smaller, and even a reader
makes a file of 32 KB (plumb.db-shm). So a full disk would stop `rm -f` and `reset`. A preallocated
file is kept beside the store; when SQLite finds no space, and what is written frees some, the file
is removed for the length of that command.

Preallocated pages of the database would not help, as the log is a file of its own; a log that is
kept at its size would serve as well, but Python's sqlite3 has no way to ask for one
(SQLITE_FCNTL_PERSIST_WAL).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

SIZE, PART = 1 << 20, 1 << 14
"""Bytes of the reserve, and of the parts in which it is made where there is no room for all."""
NO_SPACE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""Errors of SQLite where it could not write to a log, or could not make it."""
READ_ONLY = NO_SPACE | {sqlite3.SQLITE_READONLY}
"""Errors of SQLite with which a file on a read-only disk is opened."""


def keep(path: str) -> None:
    """Make the reserve, or make it as large as it shall be, as far as there is space."""
    with suppress(OSError):
        if os.stat(path).st_size >= SIZE:
            return
    with suppress(OSError):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            _allocate(descriptor)
        finally:
            os.close(descriptor)


def _allocate(descriptor: int) -> None:
    with suppress(OSError):
        os.posix_fallocate(descriptor, 0, SIZE)
        return
    with suppress(OSError):
        for size in range(PART, SIZE, PART):
            os.posix_fallocate(descriptor, 0, size)


def free(path: str) -> bool:
    """Remove the reserve; True if there was one."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error; 0 for one of Python's module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
