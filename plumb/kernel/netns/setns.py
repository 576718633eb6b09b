"""setns(2): the calling thread's way into another network namespace, and back.

Standard library only, and little of it: the agent imports this.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNET = 0x40000000  # linux/sched.h
SELF = "/proc/thread-self/ns/net"
"""The calling thread's own network namespace."""

libc = ctypes.CDLL(None, use_errno=True)


def switch(path: str) -> int:
    """Put the calling thread into the namespace of that file.

    Returns:
        A descriptor of where it was, for `switch_back`.

    Raises:
        OSError: ENOENT, there is no such file; EINVAL, it is no network namespace's.
    """
    home = os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
    try:
        go(path)
    except OSError:
        os.close(home)
        raise
    except BaseException:  # Ctrl-C, which is raised right behind what has been carried out
        switch_back(home)
        raise
    return home


def go(path: str) -> None:
    """Put the calling thread into the namespace of that file, without a way back.

    Raises:
        OSError: ENOENT, there is no such file; EINVAL, it is no network namespace's.
    """
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(there)
    finally:
        os.close(there)


def switch_back(home: int) -> None:
    """Put the calling thread back where it was.

    Raises:
        OSError: it may not go there any more.
    """
    try:
        enter(home)
    finally:
        os.close(home)


def enter(descriptor: int) -> None:
    """Put the calling thread into a namespace that it has open.

    Raises:
        OSError: it may not go there.
    """
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
