"""The writers' lock: those who change a root take turns, in the order in which they came.

The turn is a flock(2) on the root folder, which the kernel lets go when its holder dies, however
it dies. A flock that is released wakes who has waited longest, but is given to nobody: a process
that takes it again at once is faster than the one that wakes. So there is a queue before it: who
waits for the turn holds a second flock meanwhile, on a file in the root, and all others wait for
that one. The holder of the turn cannot come back before who is at the head of the queue, as it has
to wait for the queue too.

The kernel wakes a waiter; nobody polls. A waiter that is stopped (SIGSTOP) would hold the queue up:
after a while in vain who is behind it waits for the turn directly.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.errors import Conflict

LOCK_SECONDS = 120.0
"""Seconds that a writer waits for its turn."""
QUEUE_SECONDS = 60.0
"""Seconds of these that it waits in the queue."""


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
        with _first_of(queue):
            if not _lock(turn, deadline - time.monotonic()):
                raise Conflict(
                    f"another plumb is at work under {root}", "try again when it has ended"
                )
        yield
    finally:
        os.close(turn)


@contextmanager
def _first_of(path: str) -> Iterator[None]:
    """The first place in the queue; without a queue where no file can be made for it."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        queue = os.open(path, flags, 0o600)
    except OSError:  # a full or a read-only disk
        yield
        return
    try:
        _lock(queue, QUEUE_SECONDS)
        yield
    finally:
        os.close(queue)


def _lock(descriptor: int, seconds: float) -> bool:
    """Lock a file, and wait for that if need be; True if it is locked within so many seconds.

    flock(2) has no timeout, so a thread waits. If it comes too late, the file is open there alone
    by then, and the lock goes with it.
    """
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    same, locked = os.dup(descriptor), threading.Event()

    def wait() -> None:
        try:
            fcntl.flock(same, fcntl.LOCK_EX)
            locked.set()
        finally:
            os.close(same)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    if not locked.wait(seconds):
        return False
    waiter.join()  # a process with two threads cannot enter a mount namespace
    return True
