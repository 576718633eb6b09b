"""Sockets and pid file in the agent's folder, by which commands and the engine reach the agent.

agent.sock takes the engine's requests, command.sock whole commands (`plumb.prefork.server`).

A Unix socket's address has room for 107 bytes, and the path of a root may be longer: so plumb opens
the folder, and names the socket by way of the descriptor, /proc/self/fd/N/agent.sock.

The agent holds a lock (flock) on its pid file for as long as it runs, so that a folder has one
agent; a lock ends with its process, however that ended, and the process that gets it next removes
the files that an agent that was killed has left.

The agent serves root, but not every root. A process in a container is root as well and may have the
same files, but it lacks capabilities; so a client must have every capability that the agent has.
The agent reads them from /proc/PID/status when the client connects, as the socket reports no more
than the client's pid, uid and gid (SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from plumb.kernel.process.start_time import lives, signed, started
from plumb.kernel.process.title import set_title

SOCKET, COMMAND, PID = "agent.sock", "command.sock", "agent.pid"
LOG, OLDER_LOG = "agent.log", "agent.log.1"
LOG_SIZE = 1 << 20
"""Bytes of the agent's log at which it becomes the older one; there are two at most."""
NAME = "plumb-agent"
BACKLOG = 64
SO_PEERPIDFD = 77
"""A pidfd of the client (Linux 6.5), which shows if its pid belongs to another process by now."""
DYING = 2.0
"""Seconds that the kernel may take to release the files of a process which was killed."""


@contextmanager
def _short(folder: str) -> Iterator[str]:
    """A short path to a folder, whatever the length of its own."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def claim(folder: str) -> int:
    """Become a folder's agent: take the lock, and remove an earlier agent's files.

    A process that was killed is dead at once, but keeps its lock and its sockets until the last of
    its threads has come out of the kernel (one that closes a packet socket takes a hundredth of a
    second): plumb waits for that.

    Returns:
        The lock, an open descriptor of the pid file.

    Raises:
        FileExistsError: a running agent has it.
    """
    path = f"{folder}/{PID}"
    deadline = time.monotonic() + DYING
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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
    for name in (SOCKET, COMMAND, LOG, OLDER_LOG):
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")
    return lock


def valid(folder: str, lock: int) -> bool:
    """Check that the locked file is still the folder's pid file, by which clients find an agent."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(f"{folder}/{PID}"))
    except OSError:
        return False


def sign(lock: int, name: str = NAME) -> None:
    """Write this process into the pid file: pid and start time, which no other process has.

    Args:
        lock: on the pid file.
        name: the title that `ps` shows.
    """
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()} {started(os.getpid())}".encode())
    set_title(name)


def log(folder: str, text: str) -> None:
    """Add lines to the agent's log, which is bounded; where nothing can be written, nothing is."""
    path = f"{folder}/{LOG}"
    with suppress(OSError), open(path, "a", encoding="utf-8") as file:
        if file.tell() > LOG_SIZE:
            os.rename(path, f"{folder}/{OLDER_LOG}")
        file.write(text[-LOG_SIZE:])


def running(folder: str) -> tuple[int, str]:
    """A running agent's pid and start time; 0 and an empty text where there is none."""
    return signed(f"{folder}/{PID}")


def clear(folder: str) -> None:
    """Remove the files that an agent which runs no more has left; a running one's stay."""
    try:
        lock = claim(folder)
    except OSError:
        return
    abandon(folder, lock)
    os.close(lock)


def abandon(folder: str, lock: int) -> None:
    """Remove the agent's files, for the process that has the lock.

    The pid file is the last, as the lock is on it.
    """
    for name in (SOCKET, COMMAND, LOG, OLDER_LOG, PID) if valid(folder, lock) else ():
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")


def listen(folder: str, name: str = SOCKET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Open a listening socket in the folder, for root only; it does not block."""
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
    """Connect to a folder's agent.

    Args:
        seconds: how long an answer may take.

    Raises:
        OSError: ENOENT, ECONNREFUSED: there is no agent; EACCES: another user listens there.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # Where the backlog is full, connect waits for as long as the socket may take to send: unix(7)
    # does not say so.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), 0))
    try:
        with _short(folder) as short:
            client.connect(f"{short}/{SOCKET}")
        client.settimeout(seconds)
        if _peer(client)[1] != os.geteuid():
            raise PermissionError(errno.EACCES, f"another user's process listens in {folder}")
    except OSError:
        client.close()
        raise
    return client


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Pid and uid of the process at the other end (SO_PEERCRED, unix(7))."""
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    )
    return pid, uid


class _Kept(NamedTuple):
    """The connection that was used last.

    Attributes:
        owner: the process that opened it; folder: the agent's.
        client: its socket.
        answered: when the agent last answered over it, by the monotonic clock.
        who: the agent's pid and start time, as `running` has them; 0 and empty: not read yet.
        silent: it is known to answer nothing to a request which says that nobody waits.
    """

    owner: int
    folder: str
    client: socket.socket
    answered: float
    who: tuple[int, str] = 0, ""
    silent: bool = False


_KEPT: list[_Kept] = []


@contextmanager
def connected(folder: str, seconds: float) -> Iterator[socket.socket]:
    """The connection to a folder's agent, kept open after a with block that ends well.

    A request and its answer take less than a connection, for which the agent reads what its client
    may do. A fork opens its own, and so does a thread while another one waits for an answer.

    Args:
        seconds: how long an answer may take.

    Raises:
        OSError: ENOENT, ECONNREFUSED: there is no agent.
    """
    kept = _kept(folder)
    client = kept.client if kept is not None else connect(folder, seconds)
    try:
        client.settimeout(seconds)
        yield client
    except BaseException:
        client.close()
        raise
    kept = kept or _Kept(os.getpid(), folder, client, 0.0)
    _keep(kept._replace(answered=time.monotonic()))


def send(folder: str, request: bytes, seconds: float) -> bool:
    """Send a folder's agent a request that it does not answer, over the connection that is kept.

    Args:
        seconds: how long that may take.

    Returns:
        False where nothing was sent, since it is not known that the agent would not answer: the
        answer would be taken for that of the next request.

    Raises:
        OSError: the agent has hung up, or does not read.
    """
    kept = _kept(folder)
    if kept is None:
        return False
    if not kept.silent:
        _keep(kept)
        return False
    try:
        kept.client.settimeout(seconds)
        kept.client.sendall(request)
    except BaseException:
        kept.client.close()
        raise
    _keep(kept)
    return True


def _keep(kept: _Kept) -> None:
    _KEPT.append(kept)
    while len(_KEPT) > 1:
        with suppress(IndexError):  # another thread has taken it
            _KEPT.pop(0).client.close()


def _kept(folder: str) -> _Kept | None:
    """Take the connection that is kept, if it is one to this agent which has not hung up."""
    try:
        kept = _KEPT.pop()
    except IndexError:
        return None
    heard = select.poll()
    heard.register(kept.client, select.POLLIN)
    if (kept.owner, kept.folder) == (os.getpid(), folder) and not heard.poll(0):
        return kept
    kept.client.close()
    return None


def identify(folder: str, silent: bool) -> tuple[int, str]:
    """A running agent's pid and start time, as `running`; read once for a connection.

    Args:
        silent: what it has said of itself over that connection.
    """
    kept = _kept(folder)
    if kept is None:
        return running(folder)
    who = kept.who if kept.who[0] else running(folder)
    known = who if who[0] == _peer(kept.client)[0] else (0, "")
    _keep(kept._replace(who=known, silent=silent))
    return who


def recently(folder: str, seconds: float) -> tuple[int, str]:
    """Pid and start time of an agent that has answered this process so recently, and still lives.

    Who works on without a pause need not ask it for a sign of life each time. 0 and an empty text
    where it is not known, or it has hung up, or was killed or stopped.
    """
    kept = _kept(folder)
    if kept is None:
        return 0, ""
    _keep(kept)
    known = kept.who[0] and time.monotonic() - kept.answered <= seconds
    return kept.who if known and lives(*kept.who) else (0, "")


@atexit.register
def _hang_up() -> None:
    """Close the connection that is kept."""
    for kept in _KEPT:
        kept.client.close()


def trusted(client: socket.socket) -> int:
    """The client's pid where the agent may serve it, else 0.

    The client must be root of this user namespace, with every capability that this process has.
    """
    pid, uid = _peer(client)
    if uid != 0 or pid == 0:  # pid 0: its pid namespace is not this one, nor one below it
        return 0
    try:
        own, its = (int(status(process)["CapEff"], 16) for process in ("self", pid))
        same = os.path.samestat(os.stat("/proc/self/ns/user"), os.stat(f"/proc/{pid}/ns/user"))
        return pid if same and own & ~its == 0 and _lives(client) else 0
    except (OSError, KeyError):
        return 0


def _lives(client: socket.socket) -> bool:
    """Check that the client's process still runs; True where the kernel has no SO_PEERPIDFD."""
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
