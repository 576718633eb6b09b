"""State of the cluster as etcd has it, at one revision.

What has not been written since the last look is not read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd, TxnAnswer
from plumb.agent.cluster.state.etcd.operations import Get, KeyValue, below
from plumb.model.cluster import Node
from plumb.model.cnm import Network
from plumb.model.service.service import Service
from plumb.model.service.task import Task
from plumb.store import codec

KINDS: Mapping[str, type[Any]] = {
    keys.SERVICES: Service,
    keys.TASKS: Task,
    keys.NODES: Node,
    keys.NETWORKS: Network,
}
"""What is below a prefix."""


@dataclass
class Snapshot:
    """State of the cluster.

    Attributes:
        found: keys of services and tasks as they were read.
        balancers: keys of nodes' own places in networks.
        alive: ids of nodes whose leases are valid.
        applied: revision of the tasks that each node balances by.
    """

    revision: int
    found: Mapping[str, KeyValue]
    services: Mapping[str, Service]
    tasks: Mapping[str, Task]
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    balancers: frozenset[str]
    alive: frozenset[str]
    applied: Mapping[str, int]

    def modified(self, task: Task) -> int:
        """Revision at which a task was written last."""
        return self.found[keys.TASKS + task.id].modified

    def places(self, network: str) -> list[str]:
        """Ids of the nodes that have a place in a network."""
        return [node for node in self.nodes if keys.balancer(network, node) in self.balancers]


class Reader:
    """Reader of snapshots.

    Args:
        etcd: the cluster's store.
    """

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._revision = 0
        self._known: dict[str, dict[str, tuple[KeyValue, Any]]] = {prefix: {} for prefix in KINDS}

    def read(self) -> Snapshot:
        """Read the state: what was written since the last look, or all where a key has gone."""
        answer = self._ask(self._revision + 1 if self._revision else 0)
        if self._revision and not self._is_whole(answer):
            answer = self._ask(0)
            for known in self._known.values():
                known.clear()
        *kinds, balancers, alive, applied = answer.listings
        for (prefix, kind), listing in zip(KINDS.items(), kinds, strict=True):
            for one in listing.keys:
                self._known[prefix][one.key] = one, codec.loads(kind, one.value)
        self._revision = answer.revision
        services, tasks, nodes, networks = (
            {keys.last(key): value for key, (_, value) in known.items()}
            for known in self._known.values()
        )
        found = {**self._known[keys.SERVICES], **self._known[keys.TASKS]}
        return Snapshot(
            answer.revision,
            {key: one for key, (one, _) in found.items()},
            services,
            tasks,
            nodes,
            networks,
            frozenset(one.key for one in balancers.keys),
            frozenset(keys.last(one.key) for one in alive.keys),
            {keys.last(one.key): int(one.value) for one in applied.keys},
        )

    def _ask(self, since: int) -> TxnAnswer:
        wanted: list[Get] = [replace(below(prefix), since=since) for prefix in KINDS]
        wanted += [
            replace(below(keys.BALANCERS), keys_only=True),
            replace(below(keys.ALIVE), keys_only=True),
            below(keys.APPLIED),
        ]
        return self._etcd.read_all(wanted)

    def _is_whole(self, answer: TxnAnswer) -> bool:
        """Tell whether what is known, and what was written since, is all that there is."""
        return answer.revision >= self._revision and all(
            len(known.keys() | {one.key for one in listing.keys}) == listing.count
            for known, listing in zip(self._known.values(), answer.listings, strict=False)
        )
