"""The writers' lock: those who change a root take turns, in the order in which they came.

The turn is a flock(2) on the root folder, which the kernel lets go when its holder dies, however
it dies. A flock that is released wakes who has waited longest, but is given to nobody: a process
that takes it again at once is faster than the one that wakes. So there is a queue before it: who
waits for the turn holds a second flock meanwhile, on a file in the root, and all others wait for
that one. The holder of the turn cannot come back before who is at the head of the queue, as it has
to wait for the queue too.

The kernel wakes a waiter; nobody polls for the turn. A waiter that is stopped (SIGSTOP) would hold
the queue up: who is behind it looks at the turn now and then, and takes it if it is free, since
then the head of the queue has not taken it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from plumb.errors import Conflict

LOCK_SECONDS = 120.0
"""Seconds that a writer waits for its turn."""
PATIENCE = 2.0
"""Seconds between two looks of a writer in the queue at the turn."""


@contextmanager
def writers_turn(root: str, queue: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """The writers' turn on a root, for the length of a with block.

    Args:
        root: the root folder's path; queue: the path of the file in it that those lock who wait.
        seconds: how long to wait for the turn.

    Raises:
        Conflict: other processes have held it all that time.
    """
    turn = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    # An iptables-restore inherits it: what a killed plumb has set off is waited for as well.
    os.set_inheritable(turn, True)
    try:
        deadline = time.monotonic() + seconds
        with _first_of(queue, turn, deadline):
            if not _lock(turn, deadline):
                raise Conflict(
                    f"another plumb is at work under {root}", "try again when it has ended"
                )
        yield
    finally:
        os.close(turn)


@contextmanager
def _first_of(path: str, turn: int, deadline: float) -> Iterator[None]:
    """The first place in the queue; without a queue where no file can be made for it.

    Who takes the turn meanwhile, or waits until the deadline, has no place any more.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        queue = os.open(path, flags, 0o600)
    except OSError:  # a full or a read-only disk
        yield
        return
    try:
        _lock(queue, deadline, lambda: _take(turn))
        yield
    finally:
        os.close(queue)


def _take(descriptor: int) -> bool:
    """Lock a file if nobody else has; true if it is locked."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _lock(
    descriptor: int, deadline: float, passed_over: Callable[[], bool] = lambda: False
) -> bool:
    """Lock a file, and wait for that if need be; true if it is locked.

    flock(2) has no timeout, so a thread waits. If it comes too late, the file is open there alone
    by then, and the lock goes with it.

    Args:
        descriptor: the file's.
        deadline: the time at which the wait ends.
        passed_over: is asked now and then, and ends the wait as well.
    """
    if _take(descriptor):
        return True
    same, locked = os.dup(descriptor), threading.Event()

    def wait() -> None:
        try:
            fcntl.flock(same, fcntl.LOCK_EX)
            locked.set()
        finally:
            os.close(same)

    waiter = threading.Thread(target=wait, daemon=True)
    _start_without_signals(waiter)
    while not locked.wait(max(0.0, min(PATIENCE, deadline - time.monotonic()))):
        if time.monotonic() >= deadline or passed_over():
            return False
    waiter.join()  # a process with two threads cannot enter a mount namespace
    return True


def _start_without_signals(thread: threading.Thread) -> None:
    """Start a thread that takes no signal of the process.

    It may outlast the wait. The kernel gives a signal to any thread that does not block it: a
    process that waits for the end of its command by SIGCHLD would never hear of it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
