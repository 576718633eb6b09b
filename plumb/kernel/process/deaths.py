"""Ends of containers' commands, as they happen: each is watched by a pidfd."""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import suppress
from pathlib import Path

from plumb.kernel.process import commands


class Deaths:
    """Commands that are watched; one thread waits, any may wake it."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)
        self._lock = threading.Lock()
        self._closed = False

    def watch(self, folder: str) -> bool:
        """Watch the command of a container by its folder; False if it does not run."""
        if folder in self._watched:
            return True
        pid = commands.alive(folder)[0]
        if not pid:
            return False
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        self._watched[folder], self._names[descriptor] = descriptor, folder
        self._poll.register(descriptor, select.POLLIN)
        return True

    def forget(self, folder: str) -> None:
        """Watch a command no more."""
        descriptor = self._watched.pop(folder, None)
        if descriptor is not None:
            del self._names[descriptor]
            self._poll.unregister(descriptor)
            os.close(descriptor)

    def wait(self, seconds: float) -> None:
        """Return when a command has ended, when somebody calls `wake`, or after that time."""
        for descriptor, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if descriptor == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            else:
                self.forget(self._names[descriptor])

    def wake(self) -> None:
        """End the waiting of the other thread."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Forget all; the thread that waits must have ended."""
        for folder in list(self._watched):
            self.forget(folder)
        with self._lock:
            self._closed = True
            os.close(self._wake)


def ask_to_end(folder: str, number: int = signal.SIGTERM) -> None:
    """Send a container's command its stop signal.

    What follows is up to who asked (no `settle` comes).
    """
    with suppress(OSError):
        Path(folder, "ending").touch()
    _send(folder, number)


def kill(folder: str) -> None:
    """Send a container's command SIGKILL."""
    _send(folder, signal.SIGKILL)


def _send(folder: str, number: int) -> None:
    pid = commands.alive(folder)[0]
    if pid:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
