"""Load: so many connections a second from a namespace, and what has become of each."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from plumb.kernel.netns.namespaces import entered

RATE = 200.0
PATIENCE = 20.0
"""Seconds after which a connection without an answer is given up; four SYNs are lost by then."""
LATE = 0.5
"""Seconds of connections that a client which gets no turn makes up for: it reads answers first."""


@dataclass
class Load:
    """Connections of a client of TCP.

    Attributes:
        answers: how many got each answer; errors: how many ended with each error.
        slowest: seconds until the last of them was answered, of the one that took longest.
    """

    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def total(self) -> int:
        """Connections that were tried."""
        return self.answers.total() + self.errors.total()


@contextmanager
def load(place: str, ip: IPv4Address | str, port: int, rate: float = RATE) -> Iterator[Load]:
    """Connect from a namespace, so often a second, until the block ends.

    The result is complete after the block.
    """
    found, (reader, writer) = Load(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with entered(place):
                made = _Client(str(ip), port, rate).run()
            os.write(writer, json.dumps(made).encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        yield found
    finally:
        os.kill(child, signal.SIGTERM)
        with os.fdopen(reader, "rb") as file:
            said = json.loads(file.read() or b'[{}, {"the client died": 1}, 0]')
        os.waitpid(child, 0)
        found.answers.update(said[0])
        found.errors.update(said[1])
        found.slowest = said[2]


class _Client:
    """The process that connects."""

    def __init__(self, ip: str, port: int, rate: float) -> None:
        self._to, self._pause, self._ending = (ip, port), 1 / rate, False
        self._waiting = selectors.DefaultSelector()
        self._answers: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._slowest = 0.0

    def run(self) -> tuple[dict[str, int], dict[str, int], float]:
        """Connect until the signal comes; what has become of the connections."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_ending", True))
        due = time.monotonic()
        while not self._ending or self._waiting.get_map():
            now = time.monotonic()
            if not self._ending and due <= now:
                self._begin()
                due = max(due + self._pause, now - LATE)
            for key, _ in self._waiting.select(0.2 if self._ending else max(0.0, due - now)):
                assert isinstance(key.fileobj, socket.socket)
                self._end(key.fileobj, key.data)
            self._give_up()
        return self._answers, self._errors, self._slowest

    def _begin(self) -> None:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(self._to)
        self._waiting.register(client, selectors.EVENT_READ, time.monotonic())

    def _end(self, client: socket.socket, began: float) -> None:
        try:
            said = client.recv(64).decode()
            (self._answers if said else self._errors)[said or "closed without an answer"] += 1
        except OSError as error:
            self._errors[error.strerror or str(error)] += 1
        self._slowest = max(self._slowest, time.monotonic() - began)
        self._waiting.unregister(client)
        client.close()

    def _give_up(self) -> None:
        old = time.monotonic() - PATIENCE
        for key in [key for key in self._waiting.get_map().values() if key.data < old]:
            assert isinstance(key.fileobj, socket.socket)
            self._waiting.unregister(key.fileobj)
            key.fileobj.close()
            self._errors["no answer"] += 1
