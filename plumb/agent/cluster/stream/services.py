"""Services of a node's networks, and its own tasks, as the stream of changes has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from plumb.agent.cluster.stream.tasks import OwnTasks, Remotes
from plumb.model.service.assignment import Assignment
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

Json = dict[str, Any]
Balance = Callable[[str, tuple[VirtualService, ...]], None]
AGAIN = 5.0
"""Seconds until a network that could not be balanced is tried again; others do not wait for it."""


class StreamServices:
    """Services and tasks by the last lines of the stream.

    Attributes:
        revision: of the tasks that the services follow from.
        failed: networks that could not be balanced, each with the moment of the next try.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: dict[str, dict[str, VirtualService]] = {}
        self._changed: set[str] = set()
        self.failed: dict[str, float] = {}
        self._own = OwnTasks()
        self.revision = 0

    def take(self, change: Json) -> bool:
        """Take a line of the stream; True if there is something to balance anew.

        Raises:
            ValueError: of this node's tasks, a message before it is missing.
        """
        with self._lock:
            if change.get("all"):
                self._changed |= set(self._services)
                self._services.clear()
            for network, ident, value in change.get("services", ()):
                known = self._services.setdefault(network, {})
                if value is None:
                    known.pop(ident, None)
                else:
                    known[ident] = codec.decode(VirtualService, value)
                self._changed.add(network)
            for network in change.get("left", ()):
                if self._services.pop(network, None) is not None:
                    self._changed.add(network)
            self.revision = int(change.get("tasks_revision", self.revision))
            self._own.take(change)
            return bool(self._changed)

    @property
    def waits(self) -> bool:
        """True if services have changed that were not balanced since, or a next try is due."""
        now = time.monotonic()
        return bool(self._changed) or any(when <= now for when in list(self.failed.values()))

    def mark(self, networks: set[str]) -> None:
        """Have networks balanced although no service of theirs has changed."""
        with self._lock:
            self._changed |= networks & self._services.keys()

    def balance(self, balance: Balance, complain: Callable[[str], None]) -> int:
        """Have all networks balanced whose services have changed, or whose next try is due.

        Returns:
            The revision of the tasks that is balanced by now; 0 while a network could not be.
        """
        now = time.monotonic()
        with self._lock:
            changed = self._changed | {net for net, when in self.failed.items() if when <= now}
            self._changed = set()
            revision = self.revision
            wanted = {net: tuple(self._services.get(net, {}).values()) for net in changed}
        for network, services in sorted(wanted.items()):
            try:
                balance(network, services)
                self.failed.pop(network, None)
            except Exception as error:
                complain(f"cannot balance the services of network {network[:12]}: {error}")
                self.failed[network] = time.monotonic() + AGAIN
        return 0 if self.failed else revision

    def assignments(self, remotes: Remotes) -> tuple[Assignment, ...] | None:
        """Return this node's tasks; None before the stream has had any.

        Args:
            remotes: returns the endpoints of a network on other nodes.
        """
        with self._lock:
            return self._own.assignments(remotes) if self._own.known else None
