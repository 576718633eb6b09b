"""The cluster itself, as it was made by `swarm init`."""

from __future__ import annotations

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Put, absent, delete_below
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


def clear(etcd: Etcd) -> None:
    """Remove all that plumb has in the store, when the last manager leaves."""
    etcd.delete(delete_below(keys.ROOT))
