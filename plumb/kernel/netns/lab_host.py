"""Entry of a lab's hosts, by other processes than the lab's own.

A process of a host has all of its namespaces, so nsenter(1) with that process's pid enters them
all. A pid may be another process's by now: its start time says whether it is.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from plumb.kernel.process import shim

Ran = subprocess.CompletedProcess[str]
"""A command that has ended: its exit status, output and error output, as text."""
NSENTER = ("nsenter", "--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/")


class Init(NamedTuple):
    """A process, as no other one is.

    Attributes:
        pid: its pid, seen from the machine.
        ticks: its start time.
    """

    pid: int
    ticks: str

    @classmethod
    def of(cls, pid: int) -> Init:
        """The process that has this pid now."""
        return cls(pid, shim.started(pid))

    @property
    def runs(self) -> bool:
        """True if it has not ended."""
        return bool(self.ticks) and shim.started(self.pid) == self.ticks

    @property
    def netns(self) -> str:
        """Path of its network namespace."""
        return f"/proc/{self.pid}/ns/net"


def entering(init: Init, argv: Sequence[str]) -> list[str]:
    """A command line that runs another one in a host's namespaces."""
    return [*NSENTER, f"--target={init.pid}", "--", *argv]


def run(init: Init, argv: Sequence[str], env: Mapping[str, str], seconds: float | None) -> Ran:
    """Run a command in a host; its output and exit status.

    Args:
        env: all of its environment.
        seconds: how long it may take; None for as long as it likes.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    return subprocess.run(
        entering(init, argv),
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )


def execute(init: Init, argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Become a command in a host, with this process's terminal."""
    os.execvpe(NSENTER[0], entering(init, argv), dict(env))


def reap_until_closed(stream: int) -> None:
    """Stay, and collect every child that ends, until the other end of a descriptor is closed.

    A host's first process is the parent of all that lost theirs.
    """
    import select
    import signal

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = select.poll()
    for descriptor in (stream, reading):
        watched.register(descriptor, select.POLLIN)
    while not any(descriptor == stream for descriptor, _ in watched.poll()):
        with suppress(BlockingIOError):
            os.read(reading, 4096)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
