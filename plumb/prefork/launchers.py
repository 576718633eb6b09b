"""Launchers whose Python program has been served, and what they therefore need not say.

The compiled launcher (launcher.c) knows neither the version of plumb nor sys.path nor the encoding
of the streams: only an interpreter finds these out. So a launcher is refused until the program that
it executes then, plumb-python, has been served once. The same file of that program, started with
the same variables that Python reads at its start and in the same mount namespace, gets the same of
them again, as long as the folders of modules that it would find stay as they are.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from plumb import root
from plumb.kernel.process import adopt
from plumb.prefork.client import BEGUN, KILLED, READ_ONCE, RESUME, Request

PROGRAM = "plumb-python"
"""Name of the Python program that a launcher executes."""
SLOTS, ROOM = 64, 256
"""Number of launchers and environments that are known at most, and bytes for each."""
READ_AT_START = tuple(os.fsencode(prefix) for prefix in (*READ_ONCE, "LC_", "LANG", "HOME="))
"""Prefixes of the variables on which sys.path and the streams depend."""


class AskAgain(Exception):
    """Raised for a launcher that is not known: its program is to ask, and is learned of."""


class KnownLaunchers:
    """Known launchers, in memory that the server shares with its forks.

    A worker that learns of one ends soon, and the next one waits already.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * ROOM)
        self._modules = _module_paths()

    def learn(self, pid: int, request: Request) -> None:
        """Note the streams of a Python program that a launcher executes; ignore any other caller.

        Args:
            pid: the caller's.
            request: one that is served.
        """
        settings = "\0".join(
            " ".join((encoding, errors, at_once))
            for encoding, errors, _, at_once in request.streams
        )
        self._note(pid, request, settings.encode())

    def refuse(self, pid: int, request: Request) -> None:
        """Note that the program is another server's: a launcher need not ask for it any more."""
        self._note(pid, request, b"")

    def _note(self, pid: int, request: Request, settings: bytes) -> None:
        if not request.argv or os.path.basename(request.argv[0]) != PROGRAM:
            return
        with suppress(OSError, AskAgain):  # it cannot be told when it is the same again
            key = self._key(pid, request.argv[0])
            slot = _slot(key)
            entry = _checksum(key, settings) + settings
            if len(entry) <= ROOM and self._memory[slot : slot + ROOM].rstrip(b"\0") != entry:
                self._memory[slot : slot + ROOM] = entry.ljust(ROOM, b"\0")

    def complete(self, pid: int, request: Request) -> None:
        """Fill in what a launcher has left out of its request.

        Raises:
            AskAgain: it is not known.
            CannotAdopt: its program is another server's.
            OSError: its program does not exist, or the caller has ended.
        """
        key = self._key(pid, request.executable)
        slot = _slot(key)
        entry = self._memory[slot : slot + ROOM].rstrip(b"\0")
        settings = entry[len(key) :]
        if (_checksum(key, settings) + settings).rstrip(b"\0") != entry:
            raise AskAgain
        if not settings:
            raise adopt.CannotAdopt
        request.streams = [list(_completed(stream)) for stream in settings.decode().split("\0")]

    def _key(self, pid: int, program: str) -> bytes:
        if not program.startswith("/"):
            raise AskAgain
        environment = sorted(filter(_is_read, adopt.initial_environment(pid)))
        paths = (program, *self._modules, *_paths_of(environment))
        mounts = str(adopt.mount_namespace(pid)).encode()
        states = (adopt.state_of(pid, path) for path in paths)
        return hashlib.sha256(
            b"\0".join((os.fsencode(program), mounts, *states, *environment))
        ).digest()


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


def _module_paths() -> list[str]:
    """Folders and files that tell an interpreter like this one where modules are.

    The folder with plumb itself is left out: what the server has of it is compared anyway.
    """
    folders = [path for path in sys.path if path and path != root.IMPORT_PATH]
    found = [*folders, f"{sys.prefix}/pyvenv.cfg", sys.executable]
    for folder in (*folders, root.IMPORT_PATH):
        with suppress(OSError):
            found += [f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".pth")]
    return found


def _paths_of(environment: list[bytes]) -> list[str]:
    """Folders in which an interpreter looks for modules because of its variables.

    Raises:
        AskAgain: one is relative to the caller's folder.
    """
    values = {name: value for name, _, value in (entry.partition(b"=") for entry in environment)}
    named = os.fsdecode(values.get(b"PYTHONPATH", b""))
    entries = named.split(":") if named else []
    if not all(entry.startswith("/") for entry in entries):
        raise AskAgain
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = values.get(b"PYTHONUSERBASE") or values.get(b"HOME", b"") + b"/.local"
    user = f"{os.fsdecode(base)}/lib/{version}/site-packages"
    return [user, *(entry for entry in entries if entry != root.IMPORT_PATH)]


def _is_read(entry: bytes) -> bool:
    return entry.startswith(READ_AT_START)


def _slot(key: bytes) -> int:
    return key[0] % SLOTS * ROOM


def _checksum(key: bytes, settings: bytes) -> bytes:
    """Checksum that tells whether settings are whole, as two forks may write at a time."""
    return hashlib.sha256(key + settings).digest()
