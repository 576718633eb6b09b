"""Files that only root may read: keys, certificates, what a node must know after a boot.

A file is there whole or not at all: plumb writes it under another name, and renames it. Neither
name is followed where it is a symbolic link.
"""

from __future__ import annotations

import os
from contextlib import suppress

MODE = 0o600


def write(path: str, content: bytes) -> None:
    """Write a file for its owner only, on the disk when this returns.

    Raises:
        OSError: the folder is not there, the disk is full.
    """
    beside = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, MODE)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(beside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def read(path: str) -> bytes | None:
    """Return a file's content; None without such a file.

    Raises:
        PermissionError: it belongs to somebody else, or others may write to it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(1, "it is, or could have been written by, somebody else's", path)
        return file.read()


def remove(path: str) -> None:
    """Remove a file, which may not be there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
