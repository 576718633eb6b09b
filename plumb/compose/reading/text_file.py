"""Text files that a project names: ordinary ones of a size that somebody may have written.

A compose file may come from somebody else, and the path of a device or of a pipe in it must neither
fill the memory nor hold a command up.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

LONGEST = 4 << 20
"""Bytes of a file at most."""


def regular(path: Path | str) -> str:
    """Read a file that another one names.

    Raises:
        OSError: it cannot be opened, or is a folder, a device, a pipe or a socket.
        ValueError: its path has a NUL, it is not UTF-8, or longer than LONGEST.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file")
        return _decoded(file.read(LONGEST + 1) or b"")


def any_kind(path: Path | str) -> str:
    """Read a file that the caller names, which may be a pipe: `--env-file <(…)`.

    Raises:
        OSError, ValueError: as of `regular`.
    """
    with open(path, "rb") as file:
        return _decoded(file.read(LONGEST + 1))


def _decoded(found: bytes) -> str:
    if len(found) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST >> 20} MiB")
    return found.decode("utf-8-sig").replace("\r\n", "\n")
