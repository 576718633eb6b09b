"""Launchers whose Python program has been served, and what they therefore need not say.

The compiled launcher (launcher.c) knows neither the version of plumb nor sys.path nor the encoding
of the streams: only an interpreter finds these out. So a launcher is refused until the program that
it executes then, plumb-python, has been served once. The same file of that program, started with
the same variables that Python reads at its start, gets the same of them again.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator

from plumb.kernel.process import adopt
from plumb.prefork.client import BEGUN, KILLED, READ_ONCE, RESUME, Request

PROGRAM = "plumb-python"
"""Name of the Python program that a launcher executes."""
SLOTS, ROOM = 64, 256
"""Number of launchers and environments that are known at most, and bytes for each."""
READ_AT_START = tuple(os.fsencode(prefix) for prefix in (*READ_ONCE, "LC_", "LANG", "HOME="))
"""Prefixes of the variables on which sys.path and the streams depend."""


class KnownLaunchers:
    """Known launchers, in memory that the server shares with its forks.

    A worker that learns of one ends soon, and the next one waits already.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * ROOM)

    def learn(self, pid: int, request: Request) -> None:
        """Note the streams of a Python program that a launcher executes; ignore any other caller.

        Args:
            pid: the caller's.
            request: one that is served.
        """
        if request.argv and os.path.basename(request.argv[0]) == PROGRAM:
            key = _key(pid, request.argv[0])
            settings = "\0".join(
                " ".join((encoding, errors, at_once))
                for encoding, errors, _, at_once in request.streams
            ).encode()
            slot = _slot(key)
            entry = _checksum(key, settings) + settings
            if len(entry) <= ROOM and self._memory[slot : slot + len(entry)] != entry:
                self._memory[slot : slot + ROOM] = entry.ljust(ROOM, b"\0")

    def complete(self, pid: int, request: Request) -> None:
        """Fill in what a launcher has left out of its request.

        Raises:
            CannotAdopt: it is not known.
            OSError: its program does not exist, or the caller has ended.
        """
        key = _key(pid, request.executable)
        slot = _slot(key)
        entry = self._memory[slot : slot + ROOM].rstrip(b"\0")
        checksum, settings = entry[: len(key)], entry[len(key) :]
        if _checksum(key, settings) != checksum:
            raise adopt.CannotAdopt
        request.streams = [list(_completed(stream)) for stream in settings.decode().split("\0")]


def begun(executable: str, home: str, status: int) -> bytes:
    """Compose the message by which a worker tells a launcher that it has begun.

    Args:
        executable, home: the server's interpreter, and the folder that contains the package.
        status: exit status of the command if the worker is killed.
    """
    killed = f"plumb: {'; '.join(KILLED)}"
    words = (str(status), killed, executable, "-I", "-S", "-c", RESUME, home)
    return BEGUN + os.fsencode("".join(f"{word}\0" for word in words))


def _completed(stream: str) -> Iterator[str]:
    """The settings of a stream as a Python client sends them; who opens it finds out the third."""
    encoding, errors, at_once = stream.split()
    yield from (encoding, errors, "", at_once)


def _key(pid: int, program: str) -> bytes:
    found = os.stat(program)
    parts = [os.fsencode(program), f"{found.st_mtime_ns} {found.st_size}".encode()]
    environment = sorted(filter(_is_read, adopt.initial_environment(pid)))
    return hashlib.sha256(b"\0".join((*parts, *environment))).digest()


def _is_read(entry: bytes) -> bool:
    return entry.startswith(READ_AT_START)


def _slot(key: bytes) -> int:
    return key[0] % SLOTS * ROOM


def _checksum(key: bytes, settings: bytes) -> bytes:
    """Checksum that tells whether settings are whole, as two forks may write at a time."""
    return hashlib.sha256(key + settings).digest()
