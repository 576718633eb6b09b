"""Where commands, the engine and the agent meet.

Two sockets and the pid file in the agent's folder.

agent.sock is for the engine's requests, command.sock for whole commands (`plumb.prefork.server`).

A Unix socket's address has room for 107 bytes, and a root may lie deeper: so the folder is opened,
and the socket named by way of the descriptor, /proc/self/fd/N/agent.sock.

The agent has a lock (flock) on its pid file for as long as it lives, so that a folder has one
agent; a lock ends with its process, however that ended, and whoever gets it clears away what an
agent that was killed has left.

Who may speak to it: root, but not every root. A process in a container is root as well and sees the
same files, and what it has not is capabilities; so whoever asks must have every one that the agent
has. They are those of /proc/PID/status at the moment, as the socket tells no more than who
connected (unix(7)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.kernel.process import shim
from plumb.kernel.process.title import set_title

SOCKET, COMMAND, PID, LOG = "agent.sock", "command.sock", "agent.pid", "agent.log"
NAME = "plumb-agent"
BACKLOG = 64
SO_PEERPIDFD = 77
"""Since Linux 6.5: a pidfd of who connected, which tells whether its pid is another's by now."""
DYING = 2.0
"""Seconds that a process which was killed may take to let go of all it had."""


@contextmanager
def _short(folder: str) -> Iterator[str]:
    """A path to a folder that is short however deep it lies."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def claim(folder: str) -> int:
    """Become a folder's agent: the lock, an open descriptor.

    What an earlier agent has left is cleared away.

    A process that was killed is dead at once, but has its lock and its sockets until the last of
    its threads has come out of the kernel (one that closes a packet socket takes a hundredth of a
    second): that is waited for.

    Raises:
        FileExistsError: a living one has it.
    """
    path = f"{folder}/{PID}"
    deadline = time.monotonic() + DYING
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            if running(folder)[0] or time.monotonic() > deadline:
                raise FileExistsError(errno.EEXIST, f"{folder} has an agent") from None
            time.sleep(0.001)
            continue
        if valid(folder, lock):
            break
        os.close(lock)  # its last owner has just taken it away
    for name in (SOCKET, COMMAND, LOG):
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")
    return lock


def valid(folder: str, lock: int) -> bool:
    """Whether what the lock is on is still the folder's pid file, so that whoever has it can be found."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(f"{folder}/{PID}"))
    except OSError:
        return False


def sign(lock: int) -> None:
    """Write into the pid file who has it.

    Pid and start time, which together name a process for good.
    """
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()} {shim.started(os.getpid())}".encode())
    set_title(NAME)


def running(folder: str) -> tuple[int, str]:
    """A living agent's pid and start time; 0 and nothing where there is none."""
    try:
        with open(f"{folder}/{PID}", encoding="ascii", errors="replace") as file:
            pid, _, ticks = file.read().partition(" ")
    except OSError:
        return 0, ""
    return (
        (int(pid), ticks)
        if pid.isdigit() and ticks and shim.started(int(pid)) == ticks
        else (0, "")
    )


def clear(folder: str) -> None:
    """Take away the files of an agent: one's own, or those that a dead one has left.

    A living one's stay.
    """
    try:
        lock = claim(folder)
    except OSError:
        return
    abandon(folder, lock)
    os.close(lock)


def abandon(folder: str, lock: int) -> None:
    """Take away the files, by whoever has the lock.

    The pid file last, as it is what the lock is on.
    """
    for name in (SOCKET, COMMAND, LOG, PID) if valid(folder, lock) else ():
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")


def listen(folder: str, name: str = SOCKET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket in the folder: root's alone, and it does not block."""
    listener = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        with _short(folder) as short:
            listener.bind(f"{short}/{name}")
        listener.listen(BACKLOG)
    finally:
        os.umask(mask)
    return listener


def connect(folder: str, seconds: float) -> socket.socket:
    """A connection to a folder's agent.

    Args:
        seconds: how long an answer may take.

    Raises:
        OSError: ENOENT, ECONNREFUSED: there is none.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # Where others wait already, connect waits with them for as long as the socket may take to send:
    # unix(7) does not say so.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), 0))
    try:
        with _short(folder) as short:
            client.connect(f"{short}/{SOCKET}")
        client.settimeout(seconds)
    except OSError:
        client.close()
        raise
    return client


def trusted(client: socket.socket) -> int:
    """The pid of who is at the other end if it may give orders.

    Root of this user namespace, with all our capabilities; else 0.
    """
    pid, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != 0 or pid == 0:  # pid 0: it is of a pid namespace that cannot be seen from here
        return 0
    try:
        mine, theirs = (int(status(who)["CapEff"], 16) for who in ("self", pid))
        same = os.path.samestat(os.stat("/proc/self/ns/user"), os.stat(f"/proc/{pid}/ns/user"))
        return pid if same and mine & ~theirs == 0 and _lives(client) else 0
    except (OSError, KeyError):
        return 0


def _lives(client: socket.socket) -> bool:
    """Whether who connected is there still; True where the kernel cannot tell."""
    try:
        descriptor = client.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        return error.errno == errno.ENOPROTOOPT
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        return not ended.poll(0)
    finally:
        os.close(descriptor)


def status(pid: int | str) -> dict[str, str]:
    """The lines of /proc/PID/status (proc_pid_status(5)).

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}
