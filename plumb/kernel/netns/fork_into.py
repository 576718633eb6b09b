"""Run a function of the calling process in another namespace, in a fork.

A process with threads can enter no mount namespace, and libraries keep state of the namespace in
which they were first used (scapy its interfaces, the C library its name servers). So the caller
stays where it is: a fork goes there, and only the function's return value comes back.

A process cannot change its own pid namespace either, only its children's. So there are two forks:
the first enters the fake host's namespaces, the second is a child in its pid namespace, enters the
target netns, and is killed with the fake host as all its processes.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from plumb.kernel.netns import fake_host
from plumb.kernel.netns.namespaces import call
from plumb.kernel.netns.setns import CLONE_NEWNET, libc
from plumb.kernel.process import shim, signals

ALL = (
    fake_host.CLONE_NEWNS
    | fake_host.CLONE_NEWPID
    | fake_host.CLONE_NEWUTS
    | fake_host.CLONE_NEWIPC
    | CLONE_NEWNET
)


def start(host: int, enter: Callable[[], None], function: Callable[[], bytes]) -> tuple[int, int]:
    """Start the function in a fork.

    Args:
        host: the pidfd of a fake host's first process.
        enter: moves a process on that host into the target netns.
        function: runs there.

    Returns:
        The pid of the first fork, which ends with the second, and a descriptor to read the
        function's return value from.

    Raises:
        OSError: no process can be forked.
        KeyboardInterrupt: Ctrl-C came meanwhile; the fork has been ended.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = 0
    try:
        with signals.held() as blocked:
            pid = fork()
            if pid == 0:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                _go(host, enter, function, writing)
    except BaseException:
        os.close(reading)
        if pid:
            _end(pid)
        raise
    finally:
        os.close(writing)
    return pid, reading


def fork() -> int:
    """Fork, also where the process has threads."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forks in a process with threads, whose locks nobody will open: the
        # child takes none of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _go(host: int, enter: Callable[[], None], function: Callable[[], bytes], writing: int) -> None:
    try:
        libc.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        folder = os.getcwd()
        call("setns", host, ALL, doing="enter the lab's host")
        pid = os.fork()
        if pid:
            os.close(writing)
            os.waitpid(pid, 0)
            os._exit(0)
        libc.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        enter()
        with suppress(OSError):
            os.chdir(folder)
        _write(writing, function())
    except BaseException as error:
        os.write(2, f"plumb: a visit to a lab has failed: {error!r}\n".encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(0)


def _write(to: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(to, left) :]


def collect(pid: int, reading: int, deadline: float) -> bytes | None:
    """Read the function's return value, and clean up.

    Returns:
        None if the deadline (time.monotonic) has passed, empty if the fork died.
    """
    import select
    import time

    found = bytearray()
    come = select.poll()
    come.register(reading, select.POLLIN)
    try:
        while (left := deadline - time.monotonic()) > 0:
            if come.poll(left * 1000):
                part = os.read(reading, 1 << 18)
                if not part:
                    return bytes(found)
                found += part
        return None
    finally:
        os.close(reading)
        _end(pid)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
