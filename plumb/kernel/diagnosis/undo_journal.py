"""Journal of fixes: a file for each, whole on the disk before its first command is run."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from plumb.errors import Broken
from plumb.root import make_folder


class UndoJournal:
    """The fixes under a root.

    Args:
        folder: of the files, made when the first is written.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def numbers(self) -> list[int]:
        """Numbers of the fixes, in the order in which they were made."""
        return sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdigit())

    def read(self, number: int) -> str | None:
        """A fix as it was written; None without one of that number."""
        try:
            return self._path(number).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Broken(f"cannot read {self._path(number)}: {error}") from error

    def new(self) -> int:
        """A number that no fix has, for the one that is to be written."""
        make_folder(str(self._folder), 0o700)
        number = (self.numbers() or [0])[-1]
        while True:
            number += 1
            with suppress(FileExistsError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(f"{self._folder}/{number}.taken", flags, 0o600))
                return number

    def write(self, number: int, text: str) -> None:
        """Write a fix as it is now: the former text, or this one, is there after a kill."""
        fresh = f"{self._folder}/{number}.taken"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(fresh, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, self._path(number))

    def remove(self, number: int) -> None:
        """Forget a fix."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"
