"""Folders and files of a sandbox."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from plumb.errors import KernelRefused
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.processes import Directory, File


def look(thing: Thing) -> Thing | None:
    """How a folder or file is now."""
    if isinstance(thing, Directory):
        return thing if Path(thing.path).is_dir() else None
    assert isinstance(thing, File)
    try:
        return File(thing.path, Path(thing.path).read_text())
    except OSError:
        return None


def take(step: Step) -> None:
    """Make, change or take away."""
    try:
        match step.thing:
            case Directory(path=path):
                if step.after is not None:
                    os.makedirs(path, mode=0o755)
                else:
                    shutil.rmtree(path, ignore_errors=True)
            case File(path=path):
                if step.after is None:
                    Path(path).unlink(missing_ok=True)
                else:
                    _write(path, step.thing.text, new=step.before is None)
    except OSError as error:
        raise KernelRefused(f"{step}", error.errno or 0) from error


def _write(path: str, text: str, new: bool) -> None:
    """Write in place: the file may be bind-mounted, and a mount keeps to its inode."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if new else os.O_TRUNC)
    descriptor = os.open(path, flags, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
