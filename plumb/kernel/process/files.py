"""Folders and files of a sandbox.

A file that users may edit has another beside it, FILE.own: what plumb has written there itself.
Where the two are the same nobody has edited it. (Docker has the hash of it, for resolv.conf.)

The file is bind-mounted into the container, and a mount keeps to its inode: so it cannot be
replaced by another, only written in place. A process that is killed over that must not leave
something that is taken for a user's edit:

    what it says now, and what it shall say  -> FILE.own
    the new text                             -> FILE
    what it says now                         -> FILE.own

Each is one write, filled up with newlines to the length of the old text, and then the length is
set: a write within a page is made whole or not at all, so a reader never sees half of it, nor
nothing. (To be replaced by rename is dear on ext4, which then writes to the disk at once.) As long
as FILE.own says two things, or is not there, the file is not as it should be.

What an edited file said before its last change is kept in FILE.was, behind what of it was plumb's,
so that the way back leads to just what was there. (A change can make it the same as plumb's own
text, as where the user has deleted the line that goes.)
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from plumb.errors import KernelRefused
from plumb.kernel.process.line_merge import merged
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.sandbox import Directory, Edits, File

BETWEEN = "\0"
"""Parts the two texts of a FILE.own while the file is being written."""
PAGE = 4096
"""Bytes that a write changes all at once."""


def look(thing: Thing) -> Thing | None:
    """How a folder or file is now; of a file that users may edit, what of it is plumb's."""
    if isinstance(thing, Directory):
        return thing if Path(thing.path).is_dir() else None
    assert isinstance(thing, File)
    try:
        if thing.edits is Edits.OVERWRITTEN:
            return File(thing.path, read(thing.path))
        os.stat(thing.path)
    except OSError:
        return None
    own = owned(thing.path)
    if len(own) != 1:
        return File(thing.path, "")
    return thing if same(own[0], thing.text) else replace(thing, text=own[0])


def read(path: str) -> str:
    """A file's text; what is no UTF-8 in it comes out as it was when it is written again."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def owned(path: str) -> list[str]:
    """What plumb has written into a file.

    One text, two while that is going on, none where nobody knows.
    """
    try:
        return read(f"{path}.own").split(BETWEEN)
    except OSError:
        return []


def same(text: str, other: str) -> bool:
    """Whether two texts differ by newlines at their ends at most."""
    return text == other or text.rstrip("\n") == other.rstrip("\n")


def take(step: Step) -> None:
    """Make, change or take away."""
    try:
        match step.thing:
            case Directory(path=path):
                if step.after is not None:
                    os.makedirs(path, mode=0o755)
                else:
                    shutil.rmtree(path, ignore_errors=True)
            case File(path=path, text=text, edits=edits):
                if step.after is None:
                    for suffix in ("", ".own", ".was"):
                        Path(path + suffix).unlink(missing_ok=True)
                elif step.before is None:
                    _create(path, text, edits)
                else:
                    _change(path, text, edits)
    except OSError as error:
        raise KernelRefused(f"{step}", error.errno or 0) from error


def _create(path: str, text: str, edits: Edits) -> None:
    """Write a file that is not there. Without FILE.own it is not whole yet."""
    if edits is not Edits.OVERWRITTEN:
        for suffix in (".own", ".was"):
            Path(path + suffix).unlink(missing_ok=True)
    _write(path, text, os.O_EXCL)
    if edits is not Edits.OVERWRITTEN:
        _write(f"{path}.own", text, os.O_EXCL)


def _change(path: str, text: str, edits: Edits) -> None:
    """Write a file that is there, as far as it is plumb's."""
    try:
        now = read(path)
    except FileNotFoundError:
        _create(path, text, edits)
        return
    if edits is Edits.OVERWRITTEN:
        _overwrite(path, text)
        return
    own = owned(path)
    new = _next(path, now, own, text, edits)
    if new != now:
        _replace(f"{path}.own", BETWEEN.join([own[0] if own else text, text]))
        _overwrite(path, new)
    if new != now or own != [text]:
        _replace(f"{path}.own", text)


def _next(path: str, now: str, own: Sequence[str], text: str, edits: Edits) -> str:
    """What a file shall say whose part of plumb's is `text` from now on.

    Where that undoes the change before, just what it said then.
    """
    was = f"{path}.was"
    with suppress(OSError):
        plumbs, _, before = read(was).partition(BETWEEN)
        found = [_kept(before, [text], other, edits) for other in own] + [before] * (len(own) > 1)
        if plumbs == text and any(same(now, known) for known in found):
            return before
    if not own or (len(own) == 1 and same(own[0], now)) or (edits is Edits.LEFT and len(own) > 1):
        Path(was).unlink(missing_ok=True)
        return text
    if len(own) == 1:  # else it was written when that change began
        _replace(was, BETWEEN.join([own[0], now]))
    return _kept(now, own, text, edits)


def _kept(now: str, own: Sequence[str], text: str, edits: Edits) -> str:
    """An edited file with other text of plumb's."""
    return now if edits is Edits.LEFT else merged(now, own, text)


def _replace(path: str, text: str) -> None:
    """Write one of the files beside it, made if need be."""
    try:
        if max(len(text.encode(errors="surrogateescape")), os.stat(path).st_size) <= PAGE:
            _overwrite(path, text)
            return
    except FileNotFoundError:
        pass
    _write(f"{path}.new", text, os.O_TRUNC)
    os.rename(f"{path}.new", path)


def _write(path: str, text: str, how: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        raw = text.encode(errors="surrogateescape")
        if os.write(descriptor, raw) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _overwrite(path: str, text: str) -> None:
    """Write in place, so that nobody ever reads half of it."""
    raw = text.encode(errors="surrogateescape")
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        filled = raw.ljust(os.fstat(descriptor).st_size, b"\n")
        if os.pwrite(descriptor, filled, 0) < len(filled):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(raw))
    finally:
        os.close(descriptor)
