"""Signs of life to commands that wait for an answer.

A leave takes networks away and waits for other hosts; on a busy host it takes minutes. The process
sends a space to each command that waits, every few seconds: JSON may begin with it. So a command
waits for as long as the work goes on, and tells that from a process that is silent.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EVERY = 5.0
"""Seconds between two signs, several within the time for which a command bears silence."""


class SignsOfLife:
    """The thread that sends them, which begins with the first command."""

    def __init__(self) -> None:
        self._waiting: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def given_to(self, client: socket.socket) -> Iterator[None]:
        """Send signs to a client while a with block lasts, and none after it."""
        with self._lock:
            self._waiting.add(client)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="signs", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(client)

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(EVERY):
            with self._lock:
                for client in self._waiting:
                    with suppress(OSError):  # it has hung up, or does not read
                        os.write(client.fileno(), b" ")  # it has a timeout: send() would wait
