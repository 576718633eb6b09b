"""tracefs: the kernel's trace points, read as text.

The kernel's trace/events.rst and trace/ftrace.rst describe it. A private instance has buffers,
filters and switches of its own, so plumb changes no other program's tracing. plumb mounts tracefs
by file descriptor alone (fsopen(2), fsmount(2)): it appears in no mount table and is gone with the
process. The instance is not; so plumb names it after the process and writes a note (`undo_log`),
and the next command removes it if the process was killed.

To make an instance takes the kernel some 10 ms (a ring buffer for each CPU), to remove it 30 ms: so
plumb makes one only for a trace that needs it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import count
from typing import Self

from plumb.kernel.capture import undo_log
from plumb.kernel.capture.undo_log import Note
from plumb.kernel.netns import detached_mount

NODE = "tracefs"
INSTANCES = "instances"
PREFIX = "plumb-"
_numbers = count(1)


def mounted() -> int:
    """Mount tracefs; a descriptor of its root.

    Raises:
        OSError: this kernel has no tracefs, or only root of the first user namespace may have it.
    """
    return detached_mount.mounted(NODE)


class Instance:
    """A private instance of the kernel's tracing; gone when it is closed.

    Args:
        memory: the folder for the note.

    Raises:
        OSError: this process may not have tracefs.
    """

    def __init__(self, memory: str) -> None:
        self._root = mounted()
        self._pipe = -1
        self._name = f"{PREFIX}{undo_log.name()}-{next(_numbers)}"
        self._note = undo_log.write(memory, next(_numbers), {"tracefs": self._name})
        self._text = ""
        try:
            os.mkdir(f"{INSTANCES}/{self._name}", dir_fd=self._root)
            self._pipe = self._open("trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def has(self, event: str) -> bool:
        """Check for an event of the kernel, as skb/kfree_skb."""
        return os.access(f"{INSTANCES}/{self._name}/events/{event}", os.F_OK, dir_fd=self._root)

    def switch_on(self, event: str, wanted: str = "") -> None:
        """Record an event from now on.

        Args:
            event: as skb/kfree_skb.
            wanted: a filter over its fields; empty for all.
        """
        if wanted:
            self._write(f"events/{event}/filter", wanted)
        self._write(f"events/{event}/enable", "1")

    def mark(self, text: str) -> None:
        """Write a line of plumb's own among the events."""
        self._write("trace_marker", text)

    def lines(self) -> list[str]:
        """Read the lines that have come since last time."""
        with suppress(BlockingIOError):
            while data := os.read(self._pipe, 1 << 16):
                self._text += data.decode(errors="replace")
        whole, _, self._text = self._text.rpartition("\n")
        return whole.splitlines()

    def close(self) -> None:
        """Remove the instance."""
        if self._pipe >= 0:
            os.close(self._pipe)
        try:
            _remove(self._root, self._name)
            undo_log.tear(self._note)
        finally:
            os.close(self._root)

    def _write(self, path: str, text: str) -> None:
        descriptor = self._open(path, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def _open(self, path: str, flags: int) -> int:
        return os.open(f"{INSTANCES}/{self._name}/{path}", flags | os.O_CLOEXEC, dir_fd=self._root)


def put_back(note: Note) -> bool:
    """Remove the instance that a killed process has noted; True where the note is done with."""
    if "tracefs" not in note:
        return False
    try:
        root = mounted()
    except OSError:
        return False
    try:
        _remove(root, note["tracefs"])
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def _remove(root: int, name: str) -> None:
    """Remove an instance; one that is gone counts as removed."""
    deadline = time.monotonic() + 1.0
    while True:
        try:
            os.rmdir(f"{INSTANCES}/{name}", dir_fd=root)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != 16 or time.monotonic() > deadline:  # EBUSY: a reader is just leaving
                raise
            time.sleep(0.005)
