"""Own tasks of a node as its stream tells them: all of them at first, then what has changed.

Each message has a number, and says after which one it comes. A node that has another number than
that ends its stream, and is told all of them by the next: so it never acts upon a set with a gap.
A node of before this, which has not asked for changes, is told all of them each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plumb.agent.cluster.manager.service_feed import ServiceFeed

Json = dict[str, Any]


class TaskStream:
    """Tasks of one node, as it is told of them; the feed guards it by its lock.

    Args:
        node: the node's id.
        services: services, tasks and networks as they are.
        increments: the node takes changes.
    """

    def __init__(self, node: str, services: ServiceFeed, increments: bool) -> None:
        self._node, self._services, self._increments = node, services, increments
        self._changed: set[str] = set()
        self._placed = False
        self._networks: set[str] = set()
        self._outdated: set[str] = set()
        self._sequence = 0

    @property
    def waits(self) -> bool:
        """True if there is something to tell."""
        return bool(self._changed) or self._placed

    def mark(self, tasks: Iterable[str]) -> None:
        """Take note that tasks have changed, have come to the node or have left it."""
        self._changed.update(tasks)

    def mark_network(self, ident: str) -> None:
        """Take note that a network is another than the node was told."""
        if ident in self._networks:
            self._outdated.add(ident)

    def mark_places(self) -> None:
        """Take note that the node has an address of its own in a network, or none any more."""
        self._placed = True

    def complete(self, balancers: Json) -> Json:
        """Tell all of them, as a part of a line of the stream.

        Args:
            balancers: the node's own addresses by family and network.
        """
        message = self._services.assignments(self._node)
        self._changed, self._placed = set(), False
        self._networks, self._outdated = set(message["networks"]), set()
        self._sequence += 1
        return {"tasks": {**message, **balancers, "sequence": self._sequence}}

    def changes(self, balancers: Json) -> Json:
        """Tell what has changed since, as a part of a line: nothing where nothing has."""
        if not self.waits:
            return {}
        if not self._increments:
            return self.complete(balancers)
        message: Json = self._services.assignments(self._node, self._changed)
        there = {row["task"]["id"] for row in message["rows"]}
        lost = self._services.lost(self._networks)
        known = self._networks - self._outdated
        new = {net: row for net, row in message["networks"].items() if net not in known}
        message |= {
            "networks": {**dict.fromkeys(lost), **new},
            "gone": sorted(self._changed - there),
        }
        message |= {"after": self._sequence, "sequence": self._sequence + 1}
        if self._placed:
            message |= balancers
        self._networks = (self._networks - lost) | new.keys()
        self._outdated = (self._outdated & self._networks) - new.keys()
        self._changed, self._placed, self._sequence = set(), False, self._sequence + 1
        return {"tasks_changed": message}
