"""Notes for after a kill.

What must be put back in the kernel, should the process that changed it not come to do it.

A table that a socket owns, a packet socket, a mount without a name: all these go with their
process. A setting does not. So before one is changed a note is written, a file named after the
process (its pid, and when it began, for pids are used again); the process removes it when all is as
it was. Whoever comes next finds the notes of processes that are no more, and does what they say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from plumb.kernel.process.shim import started

FOLDER = "tracing"
Note = dict[str, Any]


@cache
def _mine(pid: int) -> str:
    return f"{pid}-{started(pid)}"


def name() -> str:
    """What this process is called in notes.

    Unlike its pid alone, nobody is ever called so again.
    """
    return _mine(os.getpid())


def write(memory: str, number: int, note: Note) -> str:
    """Write a note; its file.

    Args:
        memory: the folder that remembers.
        number: tells it from other notes of this process.
        note: what to put back.
    """
    path = f"{memory}/{FOLDER}/{name()}-{number}"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path + "~", "w", encoding="utf-8") as file:
        json.dump(note, file)
    os.replace(path + "~", path)
    return path


def tear(path: str) -> None:
    """Remove a note: what it says is done."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def orphaned(memory: str) -> Iterator[tuple[str, Note]]:
    """The notes of processes that are no more, with their files."""
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
