"""Processes of other programs by their network namespaces, as /proc has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from plumb.frozen import frozen
from plumb.kernel.netns.setns import SELF

FOLDER = "/proc/"
"""Beginning of the paths of all that is a process's."""
LONGEST = 1 << 16
"""Bytes of a command line at most."""
MANY = 20_000
"""Processes beyond which plumb looks at no more."""


@frozen
class Process:
    """A process.

    Attributes:
        pid: its number; parent: its parent's.
        name: its name (comm, proc_pid_comm(5)).
        started: clock ticks from the machine's start to its own.
        namespace: device and inode of its network namespace.
    """

    pid: int
    parent: int
    name: str
    started: int
    namespace: tuple[int, int]


def namespace_file(pid: int) -> str:
    """Return the file of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


def pid_namespace_file(pid: int | str = "self") -> str:
    """Return the file of a process's PID namespace, by default of plumb's own."""
    return f"/proc/{pid}/ns/pid"


def root_folder(pid: int) -> str:
    """Return the root folder as a process sees it."""
    return f"/proc/{pid}/root"


def same_root(pid: int, other: int) -> bool:
    """Test for two processes with one root folder; true where one has ended."""
    try:
        return os.path.samefile(root_folder(pid), root_folder(other))
    except OSError:
        return True


def etc_folder(pid: int) -> str:
    """Return the folder /etc as a process sees it."""
    return f"{root_folder(pid)}/etc"


def identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a namespace's file; None if there is none.

    Args:
        path: the file, "" for the calling thread's namespace.
    """
    try:
        found = os.stat(path or SELF)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def in_this_namespace(pid: int) -> bool:
    """Test for a process in the calling thread's network namespace."""
    return identity(namespace_file(pid)) == identity("")


def running() -> list[Process]:
    """List the processes that there are, in order of their numbers."""
    numbers = sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [found for pid in numbers[:MANY] if (found := process(pid)) is not None]


def process(pid: int) -> Process | None:
    """Read a process; None if it has ended, or is a zombie without a namespace."""
    namespace = identity(namespace_file(pid))
    if namespace is None:
        return None
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read(4096).decode("utf-8", "replace")
        before, _, after = text.rpartition(")")
        words = after.split()
        name = before.partition("(")[2]
        return Process(pid, int(words[1]), name, int(words[19]), namespace)
    return None


def is_root_s(pid: int) -> bool:
    """Test for a process that root runs, and that no other user has started.

    The owner of /proc/PID does not tell: it is root for any process that cannot be dumped
    (PR_SET_DUMPABLE, prctl(2)). A set-user-ID program has the uid of its caller besides.
    """
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Uid:"):
                return set(line.split()[1:]) == {b"0"}
    return False


def real_uid(pid: int) -> int | None:
    """Return the user that runs a process; None if it has ended."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Uid:"):
                return int(line.split()[1])
    return None


def command_line(pid: int) -> list[str]:
    """Return the words of a process's command line; none if it has ended."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(LONGEST).decode("utf-8", "replace").rstrip("\0").split("\0")
    return []


def option(words: list[str], name: str) -> str:
    """Return the word behind an option of a command line, or behind its =; "" without one."""
    return next(iter(options(words, name)), "")


def options(words: list[str], name: str, short: str = "") -> list[str]:
    """List the words behind an option that may be given several times.

    Args:
        words: the command line.
        name: the option, as "--host".
        short: its name of one letter, as "-H", behind which a word may follow at once.
    """
    found = []
    for number, word in enumerate(words):
        if word in (name, short) and word and number + 1 < len(words):
            found.append(words[number + 1])
        elif name.startswith("--") and word.startswith(f"{name}="):
            found.append(word.partition("=")[2])
        elif short and word.startswith(short) and word != short:
            found.append(word.removeprefix(short).removeprefix("="))
    return found


def working_folder(pid: int) -> str:
    """Return the folder that a process works in: a link to its path."""
    return f"/proc/{pid}/cwd"


def bind_source(pid: int, target: str) -> Iterator[str]:
    """Paths of files that are bind-mounted where a process has this file.

    A path is that within the file's file system (mountinfo's fourth field): the whole path where
    nothing is mounted above it. Linux's paths are bytes, of any encoding or of none.
    """
    with suppress(OSError), open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file:
            words = line.split(b" ")
            if len(words) > 4 and words[4] == os.fsencode(target):
                yield os.fsdecode(words[3])
