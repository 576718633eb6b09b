"""--cidfile: a file that holds the id of a new container."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from plumb.errors import Invalid

Note = Callable[[str], None]
"""Writes a container's id down."""


@contextmanager
def id_file(path: str) -> Iterator[Note]:
    """Make a file for an id; it goes again if no id is written for the length of a with block.

    Raises:
        Invalid: it exists, or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Invalid(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Invalid(f"failed to create the container ID file: open {path}: {reason}") from error

    def note(container: str) -> None:
        os.write(descriptor, container.encode())

    try:
        yield note
    finally:
        empty = not os.fstat(descriptor).st_size
        os.close(descriptor)
        if empty:
            with suppress(FileNotFoundError):
                os.unlink(path)
