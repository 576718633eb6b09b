"""cpio archives in the format "newc", which the kernel unpacks into memory before it starts
anything: an initramfs.

An archive is one record after the other: a header of 13 numbers in hexadecimal, the path, the
contents, each filled up to four bytes; the path TRAILER!!! ends it. Archives can stand behind one
another in one file, the later ones add to the earlier. (Kernel:
Documentation/driver-api/early-userspace/buffer-format.rst.)"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

END = "TRAILER!!!"


def pack(out: BinaryIO, files: Mapping[str, Path], texts: Mapping[str, str] | None = None) -> None:
    """Write an archive.

    Args:
        out: where it goes.
        files: their paths in the guest, and where they (or links) are here. The folders that they
        are in come with them.
        texts: further files: their paths in the guest and what is in them; they can be executed.
    """
    writer = _Writer(out)
    for name in sorted(files):
        writer.file(name, files[name])
    for name, text in (texts or {}).items():
        writer.record(name, stat.S_IFREG | 0o755, text.encode())
    writer.end()


class _Writer:
    """Records in their order: a folder before what is in it, each once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._folders = {PurePosixPath("/")}

    def file(self, name: str, file: Path) -> None:
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            self.record(name, found.st_mode, os.readlink(file).encode())
        elif stat.S_ISDIR(found.st_mode):
            self._folder(PurePosixPath(name))
        else:
            self._head(name, found.st_mode, found.st_size, int(found.st_mtime))
            with file.open("rb") as content:
                shutil.copyfileobj(content, self._out, 1 << 20)
            self._fill(found.st_size)

    def record(self, name: str, mode: int, content: bytes) -> None:
        self._head(name, mode, len(content))
        self._out.write(content)
        self._fill(len(content))

    def end(self) -> None:
        self._header(END, 0, 0, 0)

    def _folder(self, path: PurePosixPath) -> None:
        if path not in self._folders:
            self._folder(path.parent)
            self._folders.add(path)
            self._header(str(path), stat.S_IFDIR | 0o755, 0, 0)

    def _head(self, name: str, mode: int, size: int, mtime: int = 0) -> None:
        self._folder(PurePosixPath(name).parent)
        self._header(name, mode, size, mtime)

    def _header(self, name: str, mode: int, size: int, mtime: int) -> None:
        path = name.lstrip("/").encode() + b"\0"
        numbers = (0, mode, 0, 0, 1, mtime, size, 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
        self._out.write(head)
        self._fill(len(head))

    def _fill(self, size: int) -> None:
        self._out.write(bytes(-size % 4))
