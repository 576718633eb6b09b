"""Folders and files of a sandbox.

A file that users may edit has another beside it, FILE.own: the text that plumb wrote. If the two
are equal, no user has edited it. (Docker keeps a hash of it, for resolv.conf.)

The file is bind-mounted into the container, and a mount refers to an inode: so plumb cannot replace
the file, only write to it in place. If plumb is killed while it does, the remains must not look
like a user's edit:

    the current text, and the new one        -> FILE.own
    the new text                             -> FILE
    the new text                             -> FILE.own

Each step is one write, padded with newlines to the length of the old text, and then plumb sets the
length: a write within a page is done in full or not at all, so a reader never sees a part of it,
nor an empty file. (A replacement by rename is expensive on ext4, which then writes to the disk at
once.) As long as FILE.own has two texts, or does not exist, the file is not as it should be.

FILE.was keeps an edited file's text from before the last change, behind plumb's own text of that
time, so that undoing the change restores just that. (A change can make the file equal to plumb's
own text, for instance if the user has deleted the line that is removed.)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from plumb.errors import KernelRefused
from plumb.kernel.process.line_merge import merge
from plumb.plan import Step
from plumb.root import make_folder
from plumb.things import Thing
from plumb.things.sandbox import Directory, Edits, File

SEPARATOR = "\0"
"""Separates the two texts of a FILE.own while plumb writes the file."""
PAGE = 4096
"""Bytes that one write changes atomically."""


def look(thing: Thing) -> Thing | None:
    """Read a folder or file; of a file that users may edit, the part that is plumb's."""
    if isinstance(thing, Directory):
        return thing if Path(thing.path).is_dir() else None
    assert isinstance(thing, File)
    try:
        if thing.edits is Edits.OVERWRITTEN:
            return File(thing.path, read(thing.path))
        os.stat(thing.path)
    except OSError:
        return None
    written = plumb_texts(thing.path)
    if len(written) != 1:
        return File(thing.path, "")
    return thing if same_but_newlines(written[0], thing.text) else replace(thing, text=written[0])


def read(path: str) -> str:
    """Read a file's text; bytes that are not UTF-8 are the same when it is written again."""
    with open(path, "rb", buffering=0) as file:
        return file.read().decode(errors="surrogateescape")


def plumb_texts(path: str) -> list[str]:
    """Read the text that plumb wrote into a file.

    One text, two while plumb is writing, none if it is not known.
    """
    try:
        return read(f"{path}.own").split(SEPARATOR)
    except OSError:
        return []


def same_but_newlines(text: str, other: str) -> bool:
    """True if two texts differ at most by newlines at their ends."""
    return text == other or text.rstrip("\n") == other.rstrip("\n")


def _remove_folder(path: str) -> None:
    """Remove a folder and what others have put into it; its own files are gone already."""
    try:
        os.rmdir(path)
    except OSError:
        import shutil  # its libraries of compression take 4 ms to import

        shutil.rmtree(path, ignore_errors=True)


def take(step: Step) -> None:
    """Create, change or delete."""
    try:
        match step.thing:
            case Directory(path=path):
                if step.after is not None:
                    make_folder(os.path.dirname(path))
                    os.mkdir(path, 0o755)
                else:
                    _remove_folder(path)
            case File(path=path, text=text, edits=edits):
                if step.after is None:
                    for suffix in ("", ".own", ".was"):
                        _unlink(path + suffix)
                elif step.before is None:
                    _create(path, text, edits)
                else:
                    _change(path, text, edits)
    except OSError as error:
        raise KernelRefused(f"{step}", error.errno or 0) from error


def _unlink(path: str) -> None:
    """Delete a file that may not be there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def _create(path: str, text: str, edits: Edits) -> None:
    """Create a file. It is complete when FILE.own exists."""
    if edits is not Edits.OVERWRITTEN:
        for suffix in (".own", ".was"):
            _unlink(path + suffix)
    _write(path, text, os.O_EXCL)
    if edits is not Edits.OVERWRITTEN:
        _write(f"{path}.own", text, os.O_EXCL)


def _change(path: str, text: str, edits: Edits) -> None:
    """Change plumb's part of an existing file."""
    try:
        current = read(path)
    except FileNotFoundError:
        _create(path, text, edits)
        return
    if edits is Edits.OVERWRITTEN:
        _overwrite(path, text)
        return
    written = plumb_texts(path)
    new = _new_text(path, current, written, text, edits)
    if new != current:
        _replace(f"{path}.own", SEPARATOR.join([written[0] if written else text, text]))
        _overwrite(path, new)
    if new != current or written != [text]:
        _replace(f"{path}.own", text)


def _new_text(path: str, current: str, written: Sequence[str], text: str, edits: Edits) -> str:
    """Compute the new text of a file whose part by plumb becomes `text`.

    If that undoes the last change, it is the text from before it.
    """
    former = f"{path}.was"
    with suppress(OSError):
        plumb_text, _, before = read(former).partition(SEPARATOR)
        found = [_merge_edits(before, [text], other, edits) for other in written] + [before] * (
            len(written) > 1
        )
        if plumb_text == text and any(same_but_newlines(current, known) for known in found):
            return before
    if (
        not written
        or (len(written) == 1 and same_but_newlines(written[0], current))
        or (edits is Edits.LEFT and len(written) > 1)
    ):
        _unlink(former)
        return text
    if len(written) == 1:  # else it was written when that change began
        _replace(former, SEPARATOR.join([written[0], current]))
    return _merge_edits(current, written, text, edits)


def _merge_edits(current: str, written: Sequence[str], text: str, edits: Edits) -> str:
    """Put another text of plumb's into an edited file."""
    return current if edits is Edits.LEFT else merge(current, written, text)


def _replace(path: str, text: str) -> None:
    """Write one of the files beside it; create it if needed."""
    try:
        if max(len(text.encode(errors="surrogateescape")), os.stat(path).st_size) <= PAGE:
            _overwrite(path, text)
            return
    except FileNotFoundError:
        pass
    _write(f"{path}.new", text, os.O_TRUNC)
    os.rename(f"{path}.new", path)


def _write(path: str, text: str, flags: int) -> None:
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644
    )
    try:
        os.fchmod(descriptor, 0o644)
        raw = text.encode(errors="surrogateescape")
        if os.write(descriptor, raw) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _overwrite(path: str, text: str) -> None:
    """Write in place, so that no reader sees a part of it."""
    raw = text.encode(errors="surrogateescape")
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        padded = raw.ljust(os.fstat(descriptor).st_size, b"\n")
        if os.pwrite(descriptor, padded, 0) < len(padded):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(raw))
    finally:
        os.close(descriptor)
