"""Notes of kernel settings to restore, should the process that changed them be killed.

A table that a socket owns, a packet socket, a mount without a name: all these end with their
process. A setting does not. So before plumb changes one it writes a note, a file named after the
process (its pid, and its start time, for the kernel uses pids again); the process removes the note
when all is as it was. The next command finds the notes of processes that have ended, and restores
the settings (`undo`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from plumb.kernel.process.start_time import started
from plumb.root import make_folder

FOLDER = "tracing"
Note = dict[str, Any]


@cache
def _named(pid: int) -> str:
    return f"{pid}-{started(pid)}"


def name() -> str:
    """Name of this process in notes; unlike its pid alone, no other process ever has it."""
    return _named(os.getpid())


def write(memory: str, number: int, note: Note) -> str:
    """Write a note.

    Args:
        memory: the folder of notes (Layout.run).
        number: the note's number, unlike those of this process's other notes.
        note: the settings to restore.

    Returns:
        The note's file.
    """
    path = f"{memory}/{FOLDER}/{name()}-{number}"
    make_folder(os.path.dirname(path), 0o700)
    with open(path + "~", "w", encoding="utf-8") as file:
        json.dump(note, file)
    os.replace(path + "~", path)
    return path


def tear(path: str) -> None:
    """Remove a note whose settings are restored."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def orphaned(memory: str) -> Iterator[tuple[str, Note]]:
    """Yield the notes of processes that have ended, with their files."""
    try:
        entries = os.listdir(f"{memory}/{FOLDER}")
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in sorted(entries):
        pid, _, rest = entry.partition("-")
        path = f"{memory}/{FOLDER}/{entry}"
        if not pid.isdigit() or started(int(pid)) == rest.partition("-")[0]:
            continue
        if entry.endswith("~"):
            tear(path)  # it was killed while it wrote, so before it changed anything
            continue
        with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            yield path, json.load(file)
