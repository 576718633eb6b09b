"""Waits for changes of files by inotify(7)."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from types import TracebackType

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE_SELF = 0x2, 0x80, 0x100, 0x400
IN_IGNORED = 0x8000
INOTIFY_EVENT = struct.Struct("=iIII")
"""Watch, mask, cookie, and the length of the name that follows."""
ROOM = 1 << 16
"""Bytes of events that are read at once."""

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Watch of a folder for files that are made, written or renamed into it, and for its end.

    Changes between two waits end the second one at once: so nothing is missed by who looks at the
    files between them.

    Args:
        folder: its path.

    Raises:
        OSError: it is not there, or the user has no watches left (fs.inotify.max_user_watches).
    """

    def __init__(self, folder: str) -> None:
        self._descriptor = _check(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init")
        try:
            changes = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF
            added = _libc.inotify_add_watch(self._descriptor, os.fsencode(folder), changes)
            _check(added, f"inotify_add_watch {folder}")
        except OSError:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the watch."""
        os.close(self._descriptor)

    def wait(self, *others: int, seconds: float | None = None) -> bool:
        """Return when a file has changed.

        Args:
            others: descriptors; it returns when one of them is readable, too.
            seconds: how long to wait at most; None: without a limit.

        Returns:
            True if the folder is gone: the kernel tells no more of one that has its name.
        """
        ready = select.select([self._descriptor, *others], [], [], seconds)[0]
        events = os.read(self._descriptor, ROOM) if self._descriptor in ready else b""
        return any(mask & (IN_IGNORED | IN_DELETE_SELF) for mask in _masks(events))


def _masks(events: bytes) -> Iterator[int]:
    """Yield what each event tells."""
    offset = 0
    while offset < len(events):
        _, mask, _, length = INOTIFY_EVENT.unpack_from(events, offset)
        yield mask
        offset += INOTIFY_EVENT.size + length


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)
