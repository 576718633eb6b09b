"""The writers' lock: those who change a root take turns.

It is a flock(2) on the root folder, which the kernel lets go when its holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from plumb.errors import Conflict

LOCK_SECONDS = 120


@contextmanager
def writers_turn(root: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """The writers' turn on a root, for the length of a with block.

    Args:
        root: the root folder's path.
        seconds: how long to wait for it.

    Raises:
        Conflict: another process has held it all that time.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    # An iptables-restore inherits it: what a killed plumb has set off is waited for as well.
    os.set_inheritable(descriptor, True)
    try:
        deadline, pause = time.monotonic() + seconds, 0.001
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Conflict(f"another plumb is at work under {root}") from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
        yield
    finally:
        os.close(descriptor)
