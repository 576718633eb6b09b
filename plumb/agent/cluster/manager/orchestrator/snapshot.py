"""State of the cluster as etcd has it, at one revision.

What has not been written since the last look is not parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd, Listing
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
        self._parsed: dict[str, tuple[int, Any]] = {}

    def read(self) -> Snapshot:
        """Read the state."""
        wanted: list[Get] = [below(prefix) for prefix in KINDS]
        wanted += [
            replace(below(keys.BALANCERS), keys_only=True),
            replace(below(keys.ALIVE), keys_only=True),
            below(keys.APPLIED),
        ]
        answer = self._etcd.read_all(wanted)
        *kinds, balancers, alive, applied = answer.listings
        before, self._parsed = self._parsed, {}
        services, tasks, nodes, networks = (
            self._values(listing, kind, before)
            for listing, kind in zip(kinds, KINDS.values(), strict=True)
        )
        return Snapshot(
            answer.revision,
            {one.key: one for listing in kinds[:2] for one in listing.keys},
            services,
            tasks,
            nodes,
            networks,
            frozenset(one.key for one in balancers.keys),
            frozenset(keys.last(one.key) for one in alive.keys),
            {keys.last(one.key): int(one.value) for one in applied.keys},
        )

    def _values(
        self, listing: Listing, kind: type[Any], before: Mapping[str, tuple[int, Any]]
    ) -> dict[str, Any]:
        values = {}
        for one in listing.keys:
            known = before.get(one.key)
            if known is None or known[0] != one.modified:
                known = one.modified, codec.loads(kind, one.value)
            self._parsed[one.key] = known
            values[keys.last(one.key)] = known[1]
        return values
