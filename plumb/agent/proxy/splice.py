"""What bytes lie in on their way from one socket to another.

A pipe where the kernel can do it, else a buffer.

splice(2) moves what a socket has received into a pipe, and what is in a pipe into a socket's send
queue, by handing on pages: nothing is copied, and this process never sees a byte. A pipe is needed
only while bytes lie in it; so the pipes belong to all connections together, and a connection that
waits has none.

Three kinds of bytes go through a buffer: SCTP's, which many kernels cannot splice; TCP's urgent
data, before which splice stops for good; and any when no descriptor is left for a pipe.
"""

from __future__ import annotations

import fcntl
import os
from typing import Protocol

SIZE = 1 << 20
"""Bytes that a pipe holds at most: what the kernel allows to anybody (fs.pipe-max-size)."""
PAGE = 4096
CHUNK = 1 << 16
"""Bytes that a buffer holds at most."""
KEPT = 16
"""Empty pipes that are kept for whoever comes next."""


class SpliceBuffer(Protocol):
    """Holds bytes between two sockets.

    Where a socket has nothing, or takes nothing, both calls raise BlockingIOError.
    """

    held: int

    def fill(self, source: int) -> int:
        """Take bytes from a socket into the empty vessel.

        How many, 0 at the end of what it says.
        """

    def drain(self, sink: int) -> None:
        """Give a socket what it takes."""

    def exhausted(self, taken: int) -> bool:
        """Whether having taken so few bytes means that the socket has no more for now."""


class Pipe:
    """A pipe between two sockets."""

    __slots__ = ("held", "pages", "reader", "writer")

    def __init__(self) -> None:
        self.held = 0
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.pages = fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, SIZE) // PAGE
        except OSError:
            self.pages = (
                fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ) // PAGE
            )  # a small one does as well

    def fill(self, source: int) -> int:
        """Take by splice."""
        self.held = os.splice(source, self.writer, SIZE, flags=os.SPLICE_F_NONBLOCK)
        return self.held

    def drain(self, sink: int) -> None:
        """Give by splice."""
        self.held -= os.splice(self.reader, sink, self.held, flags=os.SPLICE_F_NONBLOCK)

    def exhausted(self, taken: int) -> bool:
        """A pipe is a ring of pages, each with a byte in it at least.

        With fewer bytes than pages it was not full.
        """
        return taken < self.pages

    def close(self) -> None:
        """Close both ends, and lose what is in it."""
        os.close(self.reader)
        os.close(self.writer)


class Buffer:
    """Bytes of this process between two sockets."""

    __slots__ = ("_bytes", "held")

    def __init__(self) -> None:
        self.held = 0
        self._bytes = memoryview(b"")

    def fill(self, source: int) -> int:
        """Take by read."""
        self._bytes = memoryview(os.read(source, CHUNK))
        self.held = len(self._bytes)
        return self.held

    def drain(self, sink: int) -> None:
        """Give by write."""
        self._bytes = self._bytes[os.write(sink, self._bytes) :]
        self.held = len(self._bytes)

    def exhausted(self, taken: int) -> bool:
        """SCTP gives a message at a time, however short: only asking again tells."""
        return False


class Pool:
    """The pipes of all connections."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def take(self) -> SpliceBuffer:
        """An empty pipe, or a buffer where no pipe can be made."""
        try:
            return self._free.pop() if self._free else Pipe()
        except OSError:
            return Buffer()

    def give(self, vessel: SpliceBuffer) -> None:
        """Give a vessel back, with or without bytes in it."""
        if isinstance(vessel, Pipe):
            if vessel.held or len(self._free) >= KEPT:
                vessel.close()
            else:
                self._free.append(vessel)

    def close(self) -> None:
        """Close the pipes that nobody has."""
        while self._free:
            self._free.pop().close()
