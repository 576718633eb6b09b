"""Reader of files that grow, and have other names when they are full (`BoundedFile`)."""

from __future__ import annotations

import os
from io import FileIO


class GrowingFiles:
    """Files of lines that are read on and on, also when they have other names by then.

    Args:
        path, files: as of `BoundedFile`.
    """

    def __init__(self, path: str, files: int) -> None:
        self._names = [path, *(f"{path}.{number}" for number in range(1, files))]
        self._file: FileIO | None = None
        self._rest = b""

    def close(self) -> None:
        """Close the file that was read last."""
        if self._file:
            self._file.close()

    def more(self) -> list[bytes]:
        """Read the lines that were added."""
        newer = self._newer()  # before the present file is read: nothing is added to it then
        output = self._file.readall() if self._file else b""
        for file in newer:
            output += file.readall()
            if self._file:
                self._file.close()
            self._file = file
        *lines, self._rest = (self._rest + output).split(b"\n")
        return [line + b"\n" for line in lines]

    def last(self) -> list[bytes]:
        """Return the last line, if it has no newline."""
        return [self._rest] if self._rest else []

    def _newer(self) -> list[FileIO]:
        """Open the files that are newer than the one that was read last, the oldest first.

        That one is kept open: so no other has its inode number.
        """
        last = _number(self._file) if self._file else 0
        found: dict[int, FileIO] = {}
        for name in self._names:
            try:
                file = FileIO(name)
            except FileNotFoundError:
                continue  # it is being renamed
            number = _number(file)
            if number == last:
                file.close()
                break
            found.setdefault(number, file)  # a file that was renamed meanwhile comes twice
        return [*found.values()][::-1]


def _number(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_ino
