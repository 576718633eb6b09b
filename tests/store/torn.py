"""A file system that tears: what a disk may hold after a power cut, from a record of system calls.

A write that no fsync has followed may be there whole, in parts (sectors of 512 bytes) or not at
all, whatever came after it. Entries of the folder are made and removed in order, as with a journal
of metadata, and are sure only after an fsync of the folder.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

HEAD = struct.Struct("=cHQQ")
SECTOR = 512


class Call(NamedTuple):
    """System call: its letter (create, write, truncate, sync, unlink), its file, what it wrote."""

    op: str
    path: str
    offset: int
    data: bytes


def calls(log: bytes) -> list[Call]:
    """Read what `recorder.c` wrote."""
    found, at = [], 0
    while at < len(log):
        op, length, offset, size = HEAD.unpack_from(log, at)
        at += HEAD.size
        path, data = log[at : at + length].decode(), b""
        at += length
        if op == b"w":
            data = log[at : at + size]
            at += size
        found.append(Call(op.decode(), path, offset, data))
    return found


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


class Disk:
    """Disk, with what is sure and what is pending.

    Attributes:
        sure: the folder's entries that are sure; entries: as processes see them.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.sure: dict[str, _File] = {}
        self.entries: dict[str, _File] = {}
        self._changes: list[tuple[str, _File | None]] = []

    def take(self, call: Call) -> None:
        """Carry out a call."""
        if call.path == self.folder:
            if call.op == "s":
                self._sync_folder(len(self._changes))
        elif call.op == "c":
            self.entries[call.path] = _File()
            self._changes.append((call.path, self.entries[call.path]))
        elif call.op == "u":
            if self.entries.pop(call.path, None) is not None:
                self._changes.append((call.path, None))
        elif call.op == "s":
            file = self.entries[call.path]
            for each in file.pending:
                _apply(file.content, each)
            file.pending.clear()
        else:
            self.entries[call.path].pending.append(call)

    def _sync_folder(self, count: int) -> None:
        for path, file in self._changes[:count]:
            if file is None:
                self.sure.pop(path, None)
            else:
                self.sure[path] = file
        del self._changes[:count]

    def cut(self, chance: Random) -> dict[str, bytes]:
        """Cut the power: the files that are there afterwards. The disk cannot be used any more."""
        self._sync_folder(chance.randint(0, len(self._changes)))
        return {path: _torn(file, chance) for path, file in self.sure.items()}


def _torn(file: _File, chance: Random) -> bytes:
    for call in file.pending:
        if call.op == "t":
            if chance.random() < 0.5:
                _apply(file.content, call)
            continue
        for start in range(0, len(call.data), SECTOR):
            if chance.random() < 0.5:
                part = call.data[start : start + SECTOR]
                _apply(file.content, call._replace(offset=call.offset + start, data=part))
    return bytes(file.content)


def _apply(content: bytearray, call: Call) -> None:
    if call.op == "t":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    content.extend(bytes(max(0, call.offset - len(content))))
    content[call.offset : call.offset + len(call.data)] = call.data


def write(files: dict[str, bytes], folder: str, target: Path) -> None:
    """Write what a disk has into another folder."""
    target.mkdir(mode=0o700)
    for path, content in files.items():
        (target / Path(path).relative_to(folder)).write_bytes(content)
