"""Changes for each node: one watch of etcd for all nodes that follow this manager.

A node is told the endpoints of the networks that it has a part in, which is where it has a place
of its own (its balancer), and no others. It gets them all when it begins and when it comes to a
network; then what changes. A node that reads slowly gets what happened meanwhile as one change.
The same holds for services (`service_feed`): a node is told of those on its networks, and of its
own tasks (`task_stream`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from plumb.agent.cluster.manager.service_feed import ServiceFeed, Touched, Where
from plumb.agent.cluster.manager.task_stream import TaskStream
from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.watch import Watch
from plumb.errors import KernelRefused, NotFound
from plumb.model.cluster import Node

QUIET = 5.0
"""Seconds after which a node gets an empty line, so that both sides see that the other is there."""
STALE = 6.0
"""Seconds without etcd after which this manager ends its streams: others may have a quorum."""
PREFIXES = (
    keys.NODES,
    keys.BALANCERS,
    keys.ENDPOINTS,
    keys.ENCRYPTION,
    keys.NETWORKS,
    keys.SERVICES,
    keys.TASKS,
    keys.ALIVE,
    keys.APPLIED,
    keys.QUESTIONS,
)
ASSIGNING = (keys.NODES, keys.NETWORKS, keys.SERVICES, keys.TASKS, keys.ALIVE, keys.APPLIED)
"""Beginnings of keys that the leader follows."""

Json = dict[str, Any]


class Follower:
    """A node's stream: what it was not told yet."""

    def __init__(self, node: str, tasks: TaskStream) -> None:
        self.node, self.tasks = node, tasks
        self.clear()

    def clear(self) -> None:
        """Begin anew, when all was told."""
        self.ends: dict[tuple[str, str], Json | None] = {}
        self.came: set[str] = set()
        self.left: set[str] = set()
        self.own_node: Json | None = None
        self.encryption: Json | None = None
        self.services: set[Where] = set()
        self.ingress = False
        self.questions: dict[str, Json] = {}
        self.removed = False

    @property
    def waits(self) -> bool:
        """True if there is something to tell."""
        changes = self.ends or self.came or self.left or self.own_node or self.encryption
        services = self.tasks.waits or self.services or self.ingress or self.questions
        return bool(changes or services or self.removed)


class Feed:
    """The watch and its followers.

    Args:
        etcd: the cluster's store.
        complain: takes lines for the log.
    """

    def __init__(self, etcd: Etcd, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._nodes: dict[str, Json] = {}
        self._services = ServiceFeed()
        self._tasks_revision = 0
        self.on_change: Callable[[], None] = lambda: None
        self._encryption: Json | None = None
        self._places: dict[str, set[str]] = {}
        self._own_places: dict[str, dict[str, Json]] = {}
        self._ends: dict[str, dict[str, Json]] = {}
        self._followers: set[Follower] = set()
        self._changed = threading.Condition()
        self._listed: set[str] = set()
        self._ending, self._sound = False, time.monotonic()
        self.revision = 0
        self._watches = [Watch(etcd, prefix) for prefix in PREFIXES]
        self._threads = [
            threading.Thread(target=self._follow_etcd, args=(prefix, watch), daemon=True)
            for prefix, watch in zip(PREFIXES, self._watches, strict=True)
        ]

    def start(self) -> None:
        """Begin, in threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the watch and all streams."""
        self._ending = True
        for watch in self._watches:
            watch.close()
        with self._changed:
            self._changed.notify_all()

    # -- from etcd -----------------------------------------------------------------------

    def _follow_etcd(self, prefix: str, watch: Watch) -> None:
        take = {
            keys.NODES: self._take_node,
            keys.BALANCERS: self._take_place,
            keys.ENDPOINTS: self._take_end,
            keys.ENCRYPTION: self._take_encryption,
            keys.NETWORKS: self._take_network,
            keys.SERVICES: self._take_service,
            keys.TASKS: self._take_task,
            keys.ALIVE: _take_nothing,
            keys.APPLIED: _take_nothing,
            keys.QUESTIONS: self._take_question,
        }[prefix]
        for revision, changes in watch:
            with self._changed:
                for key, text in changes:
                    try:
                        take(key.removeprefix(prefix).split("/"), text)
                    except (ValueError, KeyError) as error:
                        self._complain(f"{key} in etcd is not understood: {error!r}")
                self._listed.add(prefix)
                self.revision = max(self.revision, revision)
                if prefix == keys.TASKS:
                    self._tasks_revision = revision
                self._changed.notify_all()
            if prefix in ASSIGNING:
                self.on_change()

    def _take_network(self, parts: list[str], text: str | None) -> None:
        before = self._services.ingress
        self._touch(*self._services.take_network(parts[0], text))
        for follower in self._followers:
            if text is not None:  # one that has gone is told as lost
                follower.tasks.mark_network(parts[0])
            follower.ingress = follower.ingress or self._services.ingress != before

    def _take_question(self, parts: list[str], text: str | None) -> None:
        node, ident = parts
        for follower in self._of(node) if text is not None else ():
            follower.questions[ident] = json.loads(text or "")

    def _take_service(self, parts: list[str], text: str | None) -> None:
        self._touch(*self._services.take_service(parts[0], text))

    def _take_task(self, parts: list[str], text: str | None) -> None:
        self._touch(*self._services.take_task(parts[0], text))

    def _touch(self, tasks: Touched, where: set[Where]) -> None:
        """Take note that nodes' own tasks have changed, and services on networks."""
        for follower in self._followers:
            follower.tasks.mark(tasks.get(follower.node, ()))
            on = self._places.get(follower.node, ())
            follower.services |= {one for one in where if one[0] in on}

    def _take_node(self, parts: list[str], text: str | None) -> None:
        (ident,) = parts
        node = None if text is None else json.loads(text)
        if node is None:
            self._nodes.pop(ident, None)
        else:
            self._nodes[ident] = node
        for follower in self._of(ident):
            follower.own_node, follower.removed = node, node is None

    def _take_place(self, parts: list[str], text: str | None) -> None:
        ident, network = parts
        networks = self._places.setdefault(ident, set())
        (networks.discard if text is None else networks.add)(network)
        own = self._own_places.setdefault(ident, {})
        if text is None:
            own.pop(network, None)
        else:
            own[network] = json.loads(text)
        for follower in self._of(ident):
            now, before = follower.came, follower.left
            if text is None:
                now, before = before, now
            now.add(network)
            before.discard(network)
            follower.tasks.mark_places()
            if text is not None:
                follower.services |= self._services.services_on(network)

    def _take_end(self, parts: list[str], text: str | None) -> None:
        network, ident = parts
        ends = self._ends.setdefault(network, {})
        end = None if text is None else json.loads(text)
        if end is None:
            ends.pop(ident, None)
            if not ends:
                del self._ends[network]
        else:
            ends[ident] = end
        self._touch({}, self._services.take_end(network, ident, end is not None))
        for follower in self._followers:
            if network in self._places.get(follower.node, ()):
                follower.ends[network, ident] = end

    def _take_encryption(self, parts: list[str], text: str | None) -> None:
        self._encryption = None if text is None else json.loads(text)["keys"]
        for follower in self._followers:
            follower.encryption = self._encryption

    def _of(self, ident: str) -> list[Follower]:
        return [follower for follower in self._followers if follower.node == ident]

    # -- to nodes ------------------------------------------------------------------------

    def follow(self, node: Node, increments: bool) -> Generator[Json | None, None, None]:
        """Yield all that concerns a node, then what changes; None when nothing has for a while.

        Args:
            increments: the node takes changes of its tasks; another one gets them all each time.

        Raises:
            KernelRefused: this manager has no etcd to watch.
            NotFound: the node was removed.
        """
        follower = Follower(node.id, TaskStream(node.id, self._services, increments))
        with self._changed:
            self._changed.wait_for(lambda: len(self._listed) == len(PREFIXES), STALE)
            if len(self._listed) < len(PREFIXES):
                raise _stale()
            first = self._everything(follower)
            self._followers.add(follower)
        try:
            yield first
            while True:
                yield self._next(follower)
        finally:
            with self._changed:
                self._followers.discard(follower)

    def _everything(self, follower: Follower) -> Json:
        node = follower.node
        networks = {
            net: list(self._ends.get(net, {}).values()) for net in self._places.get(node, ())
        }
        own = [
            end
            for ends in self._ends.values()
            for end in ends.values()
            if end["node"] == node and end.get("sandbox")
        ]
        own_node = {"node": self._nodes[node]} if node in self._nodes else {}
        return {
            "revision": self.revision,
            "all": True,
            "networks": networks,
            "own": own,
            "encryption": self._encryption,
            **own_node,
            "ingress": self._services.ingress,
            **follower.tasks.complete(self._balancers(node)),
            **self._service_rows(set().union(*map(self._services.services_on, networks))),
        }

    def _service_rows(self, services: set[Where]) -> Json:
        """Services on networks, whole, and the revision of the tasks that they follow from."""
        rows = [[*where, self._services.virtual(where)] for where in sorted(services)]
        return {"services": rows, "tasks_revision": self._tasks_revision}

    def _balancers(self, node: str) -> Json:
        """A node's own addresses by family and network; empty where it has none."""
        own = self._own_places.get(node, {})
        return {
            name: {net: place.get(field) or "" for net, place in own.items()}
            for name, field in (("balancers", "ip"), ("balancers6", "ip6"))
        }

    def _next(self, follower: Follower) -> Json | None:
        with self._changed:
            self._changed.wait_for(lambda: follower.waits or self._ending, QUIET)
            if self._ending or self._is_stale():
                raise _stale()
            if follower.removed:
                raise NotFound(f"node {follower.node} not found", "it was removed from the cluster")
            if not follower.waits:
                return None
            line = self._line(follower)
            follower.clear()
            return line

    def _line(self, follower: Follower) -> Json:
        line: Json = {"revision": self.revision}
        if follower.own_node:
            line["node"] = follower.own_node
        if follower.encryption:
            line["encryption"] = follower.encryption
        if follower.tasks.waits or follower.services:
            line |= self._service_rows(follower.services)
            line |= follower.tasks.changes(self._balancers(follower.node))
        if follower.ingress:
            line["ingress"] = self._services.ingress
        if follower.questions:
            line["questions"] = follower.questions
        if follower.left:
            line["left"] = sorted(follower.left)
        if follower.came:
            line["networks"] = {
                net: list(self._ends.get(net, {}).values()) for net in follower.came
            }
        single = {
            place: end
            for place, end in follower.ends.items()
            if place[0] not in follower.came | follower.left
        }
        if put := [end for end in single.values() if end is not None]:
            line["put"] = put
        if gone := [list(place) for place, end in single.items() if end is None]:
            line["gone"] = gone
        return line

    def _is_stale(self) -> bool:
        now = time.monotonic()
        if all(watch.broken is None for watch in self._watches):
            self._sound = now
        return now - self._sound > STALE


def _take_nothing(parts: list[str], text: str | None) -> None:
    """Pass over what the leader alone follows."""


def _stale() -> KernelRefused:
    return KernelRefused(
        "tell what changes in the cluster", 0, "this manager has no quorum of etcd", "ask another"
    )
