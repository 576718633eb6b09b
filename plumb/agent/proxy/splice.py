"""Buffers between two sockets: a pipe where the kernel can splice, else memory of this process.

splice(2) moves what a socket has received into a pipe, and what is in a pipe into a socket's send
queue, by passing page references: nothing is copied, and this process never reads a byte. A pipe is
needed only while it holds bytes; so all connections share the pipes, and an idle connection has
none.

Three kinds of data go through memory: SCTP, which many kernels cannot splice; TCP's urgent data, at
which splice stops for good; and any data when as many pipes as there may be wait for receivers that
do not read.
"""

from __future__ import annotations

import fcntl
import os
from typing import Protocol

SIZE = 1 << 20
"""Capacity of a pipe in bytes: what the kernel allows without privileges (fs.pipe-max-size)."""
PAGE = 4096
CHUNK = 1 << 16
"""Capacity of a memory buffer in bytes: that of SCTP's largest message."""
SMALL = 1 << 13
"""Capacity of a memory buffer that stands for a pipe: there may be thousands of them."""
MAX_FREE = 16
"""Empty pipes that are kept for reuse, at most."""


class SpliceBuffer(Protocol):
    """Buffer for bytes between two sockets.

    Both calls raise BlockingIOError if the socket has nothing to read, or accepts nothing.
    """

    held: int

    def fill(self, source: int) -> int:
        """Read from a socket into the empty buffer.

        Returns:
            The number of bytes, 0 at the end of the stream.
        """

    def drain(self, sink: int) -> None:
        """Write to a socket as much as it accepts."""

    def exhausted(self, received: int) -> bool:
        """True if a read of so few bytes means that the socket has no more for now."""


class Pipe:
    """Pipe between two sockets."""

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
        """Read by splice."""
        self.held = os.splice(source, self.writer, SIZE, flags=os.SPLICE_F_NONBLOCK)
        return self.held

    def drain(self, sink: int) -> None:
        """Write by splice."""
        self.held -= os.splice(self.reader, sink, self.held, flags=os.SPLICE_F_NONBLOCK)

    def exhausted(self, received: int) -> bool:
        """Compare with the number of pages, as each page of a pipe holds at least one byte.

        With fewer bytes than pages it was not full.
        """
        return received < self.pages

    def close(self) -> None:
        """Close both ends; what the pipe holds is lost."""
        os.close(self.reader)
        os.close(self.writer)


class Buffer:
    """Memory of this process between two sockets."""

    __slots__ = ("_bytes", "_size", "held")

    def __init__(self, size: int = CHUNK) -> None:
        self.held, self._size = 0, size
        self._bytes = memoryview(b"")

    def fill(self, source: int) -> int:
        """Read by read(2)."""
        self._bytes = memoryview(os.read(source, self._size))
        self.held = len(self._bytes)
        return self.held

    def drain(self, sink: int) -> None:
        """Write by write(2)."""
        self._bytes = self._bytes[os.write(sink, self._bytes) :]
        self.held = len(self._bytes)

    def exhausted(self, received: int) -> bool:
        """Return False, as only another read can tell.

        SCTP delivers one message per call, however short.
        """
        return False


class Pool:
    """Pipes of all connections.

    Args:
        most: pipes that there may be; each is two file descriptors.
    """

    def __init__(self, most: int) -> None:
        self._free: list[Pipe] = []
        self._most, self._made = most, 0

    def take(self) -> SpliceBuffer:
        """Return an empty pipe, or a memory buffer if no pipe can be made."""
        if self._free:
            return self._free.pop()
        if self._made >= self._most:
            return Buffer(SMALL)
        try:
            pipe = Pipe()
        except OSError:
            return Buffer(SMALL)
        self._made += 1
        return pipe

    def give(self, buffer: SpliceBuffer) -> None:
        """Take a buffer back, empty or not."""
        if isinstance(buffer, Pipe):
            if buffer.held or len(self._free) >= MAX_FREE:
                buffer.close()
                self._made -= 1
            else:
                self._free.append(buffer)

    def close(self) -> None:
        """Close the unused pipes."""
        while self._free:
            self._free.pop().close()
            self._made -= 1
