"""File that becomes FILE.1 when it is full, and so on: Docker's json-file driver names them so.

The standard library only: the shim imports it.
"""

from __future__ import annotations

import os


class BoundedFile:
    """Files of lines, with a bound on the size of each and on their number.

    Args:
        path: FILE; size: bytes of a file; files: how many there are, FILE included.
    """

    def __init__(self, path: str, size: int, files: int) -> None:
        self._path, self._size, self._files = path, size, files
        self._file, self._length = -1, 0
        try:
            self._open()
        except OSError:
            pass  # it may be possible later

    def append(self, lines: list[bytes]) -> None:
        """Append lines; none is divided between two files, and one alone may exceed the size.

        Raises:
            OSError: a line cannot be written, as on a full disk; the rest is dropped.
        """
        if self._file < 0:
            self._open()
        block = b"".join(lines)
        if self._length + len(block) <= self._size:
            self._write(block)
            return
        for line in lines:
            if self._length and self._length + len(line) > self._size:
                self._begin_next()
            self._write(line)

    def close(self) -> None:
        """Close FILE."""
        if self._file >= 0:
            os.close(self._file)

    def _write(self, block: bytes) -> None:
        written = os.write(self._file, block)
        if written < len(
            block
        ):  # the disk is full: a part of a line would make the next unreadable
            os.ftruncate(self._file, self._length)
        else:
            self._length += written

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, 0o600)
        self._length = os.fstat(self._file).st_size
        if self._length and os.pread(self._file, 1, self._length - 1) != b"\n":
            self._write(b"\n")  # an older plumb's, or the machine went down

    def _begin_next(self) -> None:
        os.close(self._file)
        self._file = -1
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._files))]
        if len(names) == 1:
            os.unlink(self._path)
        for newer, older in zip(names[-2::-1], names[:0:-1], strict=True):
            try:
                os.rename(newer, older)
            except FileNotFoundError:
                pass
        self._open()
