"""Run a function in a fork of this process, on another processor, while this process goes on.

Threads of one Python process take turns (the global interpreter lock), and most of what an
operation does in a sandbox is Python's work. A fork has a lock of its own.

It has the calling process's locks on files as well (flock(2): they are those of the open file), so
no other command gets its turn before both have ended; and the kernel kills it together with the
thread that has forked it. No signal but SIGKILL comes to it: what Ctrl-C means is the caller's
matter. The programs that it runs (iptables-restore) inherit its end of the pipe, so that the caller
waits for what a fork that was killed has set off.
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
        function: it changes nothing of this process; its value, or its error, is pickled.

    Returns:
        A function that waits for the value, or raises the error; to be called once.

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
            with suppress(OSError):  # Ctrl-C came right behind its close
                os.close(writing)
        if pid:
            _end(pid)
            while os.read(reading, 1 << 16):  # until the last program has closed its end
                pass
        os.close(reading)


def _run(function: Callable[[], object], writing: int, parent: int) -> NoReturn:
    try:
        libc.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            os.set_inheritable(writing, True)
            answer = pickle.dumps(_outcome(function))
            with open(writing, "wb") as to:
                to.write(answer)
    except BaseException as error:
        os.write(2, f"plumb: a part of an operation has failed: {error!r}\n".encode())
    finally:
        os._exit(0)


def _outcome(function: Callable[[], object]) -> tuple[object, Exception | None]:
    """The function's value, or its error."""
    try:
        return function(), None
    except Exception as error:
        return None, error


def _value(reading: int) -> Any:
    with open(reading, "rb", closefd=False) as answer:
        try:
            value, error = pickle.load(answer)  # noqa: S301  # what the fork of this process has written
        except (EOFError, pickle.UnpicklingError):
            raise ChildProcessError("a part of the operation has ended before its time") from None
    if error is not None:
        raise error
    return value


def _end(pid: int) -> None:
    """Kill the fork where it has not ended, and wait until it has.

    A caller that ignores SIGCHLD, or waits for any child, may have taken its status: then its pid
    may be another process's.
    """
    with suppress(ChildProcessError, ProcessLookupError):
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
