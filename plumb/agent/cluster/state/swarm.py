"""The cluster itself, as it was made by `swarm init`."""

from __future__ import annotations

from collections.abc import Callable

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import Put, absent, delete_below, unchanged
from plumb.errors import Conflict
from plumb.model.cluster import Swarm
from plumb.store import codec


def create(etcd: Etcd, swarm: Swarm) -> None:
    """Record a new cluster.

    Raises:
        Conflict: the store has one already.
    """
    answer = etcd.txn([absent(keys.SWARM)], [Put(keys.SWARM, codec.dumps(swarm))])
    if not answer.succeeded and load(etcd) != swarm:
        raise Conflict(
            f"cannot make a swarm: there is one already in the store {etcd.address}",
            "join it with 'plumb swarm join', or name another store",
        )


def load(etcd: Etcd) -> Swarm | None:
    """Return the cluster; None before `create`."""
    found = etcd.get(keys.SWARM)
    return codec.loads(Swarm, found.value) if found else None


def change(etcd: Etcd, how: Callable[[Swarm], Swarm]) -> Swarm:
    """Change the cluster; `how` is called again where another manager was faster.

    Raises:
        Conflict: there is none.
    """
    for _ in attempts("change the swarm"):
        found = etcd.get(keys.SWARM)
        if found is None:
            raise Conflict("cannot change the swarm: there is none in the store")
        changed = how(codec.loads(Swarm, found.value))
        wanted = [Put(keys.SWARM, codec.dumps(changed))]
        if etcd.txn([unchanged(keys.SWARM, found)], wanted).succeeded:
            return changed
    raise AssertionError


def clear(etcd: Etcd) -> None:
    """Remove all that plumb has in the store, when the last manager leaves."""
    etcd.delete(delete_below(keys.ROOT))
