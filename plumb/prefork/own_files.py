"""Files that the prefork server has in memory, and whether they are still the same.

A worker asks that for each command: a stat(2) of each file takes two milliseconds, so where changes
of the folders can be watched, files are compared only once one has changed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import plumb
from plumb.kernel.events.changes import FolderChanges

Files = dict[str, tuple[int, int]]


class OwnFiles:
    """State of the package's files, and of the folders in which its dependencies are installed.

    These change when a package is installed or updated. It is read before the modules are loaded.
    """

    def __init__(self) -> None:
        self._top = (plumb.__path__[0], *_libraries())
        self._files = _state_of([*_modules(), *_libraries()])
        self._changes: FolderChanges | None = None

    def watch(self) -> None:
        """Watch the folders from now on, after the imports, which make folders for bytecode.

        Where that is not possible, the files are compared each time.
        """
        folders = {os.path.dirname(path) for path in self._files if path not in self._top}
        with suppress(OSError):
            self._changes = FolderChanges({*folders, *self._top})
            if not self._same():
                self._changes.close()
                self._changes = None

    def unchanged(self) -> bool:
        """True if all are as they were."""
        if self._changes is not None and not self._changes.happened(self._top):
            return True
        return self._same()

    def _same(self) -> bool:
        return _state_of(list(self._files)) == self._files


def _modules() -> list[str]:
    return [
        f"{folder}/{name}"
        for folder, _, names in os.walk(plumb.__path__[0])
        for name in names
        if name.endswith(".py")
    ]


def _libraries() -> list[str]:
    return list(
        {
            os.path.dirname(os.path.dirname(file))
            for name in ("click", "iptc")
            if (file := getattr(sys.modules.get(name), "__file__", None))
        }
    )


def _state_of(paths: list[str]) -> Files:
    """Modification times and sizes of files."""
    found = {}
    for path in paths:
        try:
            now = os.stat(path)
        except FileNotFoundError:
            continue
        found[path] = (now.st_mtime_ns, now.st_size)
    return found
