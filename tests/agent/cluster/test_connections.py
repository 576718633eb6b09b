"""Connections of a node to its manager: what was needed at once once is not kept for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.agent.cluster.hosts import Machine
from tests.waiting import until


def test_connections_that_nobody_needs_any_more_are_closed(pair: tuple[Machine, Machine]) -> None:
    """The stream's stays, and the one that renews the lease."""
    manager, worker = pair
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: worker.ask("swarm"), range(16)))
    assert _connections(worker, manager) > 2
    until(lambda: _connections(worker, manager) == 2, "two connections are left")


def _connections(node: Machine, manager: Machine) -> int:
    """Number of a node's connections to a manager."""
    wanted = f"ss -Htn state established dst {manager.address} dport = :2377"
    return len(node.within(wanted).splitlines())
