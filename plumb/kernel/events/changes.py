"""Changes in many folders, told by one inotify(7) that nobody reads.

An event stays readable, for all processes that have inherited the descriptor; so a poll(2) is all
that a look takes. inotify tells of changes that this kernel makes, so only file systems that no
other machine can write to are watched.
"""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterable

IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x2, 0x4, 0x40, 0x80, 0x100
IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x200, 0x400, 0x800
CHANGES = (
    IN_MODIFY
    | IN_ATTRIB
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_CREATE
    | IN_DELETE
    | IN_DELETE_SELF
    | IN_MOVE_SELF
)
LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})

_libc = ctypes.CDLL(None, use_errno=True)


class FolderChanges:
    """Changes of the files in folders, since they are watched.

    Args:
        folders: their paths; what is below them is not watched.

    Raises:
        OSError: one is not there, is on a file system that others can write to, or the user has no
            watches left (fs.inotify.max_user_watches).
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = {folder: _number(folder) for folder in folders}
        foreign = {device for device, _ in self._folders.values()} - _local_devices()
        if foreign:
            raise OSError(f"{len(foreign)} file systems are not known to be this machine's alone")
        self._descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for folder in self._folders:
            added = _libc.inotify_add_watch(self._descriptor, os.fsencode(folder), CHANGES)
            if self._descriptor < 0 or added < 0:
                number = ctypes.get_errno()
                self.close()
                raise OSError(number, f"inotify {folder}: {os.strerror(number)}")

    def close(self) -> None:
        """End the watch."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def happened(self, paths: Iterable[str]) -> bool:
        """Tell whether a file has changed, or one of these folders is another by now.

        Args:
            paths: watched folders that something may have been mounted on, or that a rename above
                them may have replaced.
        """
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0)) or any(_number(path) != self._folders[path] for path in paths)


def _number(folder: str) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_dev, found.st_ino


def _local_devices() -> set[int]:
    """Devices of the mounted file systems that no other machine writes to."""
    found = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            major, _, minor = before.split()[2].partition(":")
            if after.split()[0] in LOCAL:
                found.add(os.makedev(int(major), int(minor)))
    return found
