"""Run a function in a fork of this process, on another processor, while this process goes on.

Threads of one Python process take turns (the global interpreter lock), and most of what an
operation does in a sandbox is Python's work. A fork has a lock of its own.

It has the calling process's locks on files as well (flock(2): they are those of the open file), so
no other command gets its turn before both have ended; and the kernel kills it together with the
thread that has forked it. No signal but SIGKILL comes to it: what Ctrl-C means is the caller's
matter.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

from plumb.kernel.netns.fork_into import fork
from plumb.kernel.netns.setns import libc
from plumb.kernel.process import shim, signals

T = TypeVar("T")


def possible() -> bool:
    """True where a fork has a processor of its own, and no other thread's lock could be shut."""
    return threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


@contextmanager
def beside(function: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Run a function in a fork for the length of a with block, at whose end the fork is gone.

    Args:
        function: it changes nothing of this process; its value is pickled.

    Returns:
        A function that waits for the value, to be called once.

    Raises:
        OSError: no process can be forked.
        ChildProcessError: from the function that waits: the fork has died.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = 0
    try:
        with signals.held():
            parent = os.getpid()
            pid = fork()
            if pid == 0:
                _run(function, writing, parent)
        os.close(writing)
        writing = -1
        yield lambda: _value(reading)
    finally:
        if writing >= 0:
            os.close(writing)
        if pid:
            _end(pid)
        os.close(reading)


def _run(function: Callable[[], object], writing: int, parent: int) -> NoReturn:
    try:
        libc.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            with open(writing, "wb") as answer:
                pickle.dump(function(), answer)
    except BaseException as error:
        os.write(2, f"plumb: a part of an operation has failed: {error!r}\n".encode())
    finally:
        os._exit(0)


def _value(reading: int) -> Any:
    with open(reading, "rb", closefd=False) as answer:
        try:
            return pickle.load(answer)  # noqa: S301  # what the fork of this process has written
        except EOFError:
            raise ChildProcessError("a part of the operation has ended before its time") from None


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # a caller that ignores SIGCHLD
        os.waitpid(pid, 0)
