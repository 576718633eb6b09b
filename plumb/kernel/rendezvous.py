"""Where the engine and its agent meet: the control socket and the pid file in the agent's folder.

A Unix socket's address has room for 107 bytes, and a root may lie deeper: so the folder is opened, and the socket named
by way of the descriptor, /proc/self/fd/N/agent.sock.

The agent has a lock (flock) on its pid file for as long as it lives, so that a folder has one agent; a lock ends with its
process, however that ended, and whoever gets it clears away what an agent that was killed has left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.kernel import shim

SOCKET, PID, LOG = "agent.sock", "agent.pid", "agent.log"
NAME = "plumb-agent"
BACKLOG = 64


@contextmanager
def _short(folder: str) -> Iterator[str]:
    """A path to a folder that is short however deep it lies."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def claim(folder: str) -> int:
    """Become a folder's agent: the lock, an open descriptor; what an earlier agent has left is cleared away.

    Raises:
        FileExistsError: a living one has it.
    """
    path = f"{folder}/{PID}"
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise FileExistsError(errno.EEXIST, f"{folder} has an agent") from None
        if valid(folder, lock):
            break
        os.close(lock)                      # its last owner has just taken it away
    for name in (SOCKET, LOG):
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
    """Write into the pid file who has it: pid and start time, which together name a process for good."""
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()} {shim.started(os.getpid())}".encode())
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(NAME)


def running(folder: str) -> tuple[int, str]:
    """A living agent's pid and start time; 0 and nothing where there is none."""
    try:
        with open(f"{folder}/{PID}", encoding="ascii", errors="replace") as file:
            pid, _, ticks = file.read().partition(" ")
    except OSError:
        return 0, ""
    return (int(pid), ticks) if pid.isdigit() and ticks and shim.started(int(pid)) == ticks else (0, "")


def clear(folder: str) -> None:
    """Take away the files of an agent: one's own, or those that a dead one has left; a living one's stay."""
    try:
        lock = claim(folder)
    except OSError:
        return
    abandon(folder, lock)
    os.close(lock)


def abandon(folder: str, lock: int) -> None:
    """Take away the files, by whoever has the lock: the pid file last, as it is what the lock is on."""
    for name in (SOCKET, LOG, PID) if valid(folder, lock) else ():
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")


def listen(folder: str) -> socket.socket:
    """The control socket: root's alone, and it does not block."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        with _short(folder) as short:
            listener.bind(f"{short}/{SOCKET}")
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
    # Where others wait already, connect waits with them for as long as the socket may take to send: unix(7) does not say so.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), 0))
    try:
        with _short(folder) as short:
            client.connect(f"{short}/{SOCKET}")
        client.settimeout(seconds)
    except OSError:
        client.close()
        raise
    return client


def peer(client: socket.socket) -> int:
    """The user at the other end of a Unix socket (struct ucred: pid, uid, gid)."""
    uid: int = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid
