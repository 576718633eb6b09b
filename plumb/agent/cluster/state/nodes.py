"""Nodes of the cluster, and the leases that say which of them are alive.

A node that is alive renews a lease. What goes with the lease is removed by etcd when it expires:
the key that says so, and the endpoints that the node has published. The node itself stays, until it
is removed by `node rm`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Delete,
    Get,
    KeyValue,
    Put,
    absent,
    below,
    unchanged,
)
from plumb.errors import Conflict, NotFound
from plumb.model.cluster import Node
from plumb.store import codec

LEASE = 10
"""Seconds without a renewal after which a node is down."""


def put(etcd: Etcd, node: Node) -> None:
    """Record a node that joins; until its first lease it counts as one that may never come.

    Raises:
        Conflict: another node has this id.
    """
    key = keys.NODES + node.id
    puts = [Put(key, _text(node)), Put(keys.JOINING + node.id, node.created)]
    if not etcd.txn([absent(key)], puts).succeeded:
        found = etcd.get(key)
        if found is None or found.value != _text(node):
            raise Conflict(f"node {node.id} is in the cluster already")


def change(etcd: Etcd, ident: str, how: Callable[[Node], Node]) -> Node:
    """Change a node that is there; `how` is called again where another manager was faster.

    Raises:
        NotFound: it is in the cluster no more.
    """
    key = keys.NODES + ident
    for _ in attempts(f"change node {ident}"):
        found = etcd.get(key)
        if found is None:
            raise _unknown(ident)
        changed = how(_node(found))
        if etcd.txn([unchanged(key, found)], [Put(key, _text(changed))]).succeeded:
            return changed
    raise AssertionError


def get(etcd: Etcd, ident: str) -> Node | None:
    """Return a node by its id, None if it is in the cluster no more."""
    nodes, leases = etcd.read_all([Get(keys.NODES + ident), Get(keys.ALIVE + ident)]).listings
    return replace(_node(nodes.first), alive=bool(leases.keys)) if nodes.first else None


def of_key(etcd: Etcd, key: str) -> Node | None:
    """Return the node whose certificate has this key (`Node.key`), None without one."""
    return next((node for node in everyone(etcd) if node.key == key), None)


def everyone(etcd: Etcd) -> list[Node]:
    """List all nodes, by hostname, with those alive that are."""
    found, leases = etcd.read_all([below(keys.NODES), below(keys.ALIVE)]).listings
    living = {keys.last(one.key) for one in leases.keys}
    nodes = [replace(_node(one), alive=keys.last(one.key) in living) for one in found.keys]
    return sorted(nodes, key=lambda node: (node.hostname, node.id))


def alive(etcd: Etcd) -> set[str]:
    """Return the ids of those whose leases are valid."""
    wanted = replace(below(keys.ALIVE), keys_only=True)
    return {keys.last(one.key) for one in etcd.range(wanted).keys}


def renew(etcd: Etcd, ident: str, lease: int = 0, ttl: int = LEASE) -> int:
    """Renew a node's lease, or take a new one where it has none.

    Args:
        lease: the lease that the node had, 0 for none: then the one that etcd has for it, if any.
        ttl: seconds of a new lease.

    Returns:
        The lease. If it is another one than before, the node has to publish its endpoints again.

    Raises:
        NotFound: the node is in the cluster no more, or has left it.
    """
    known = lease or _lease(etcd, ident)
    if known:
        try:
            etcd.lease_keepalive(known)
            return known
        except refusals.LeaseGone:
            pass
    return _grant(etcd, ident, ttl)


def remove(etcd: Etcd, ident: str) -> None:
    """Remove a node: from then on, it can neither reserve nor publish; what it published goes.

    Its reservations are released by `endpoints.release_node`.
    """
    lease = _lease(etcd, ident)
    of_node = (keys.NODES, keys.ALIVE, keys.AWAY, keys.JOINING)
    etcd.txn([], [Delete(prefix + ident) for prefix in of_node])
    if lease:
        etcd.lease_revoke(lease)


def leave(etcd: Etcd, ident: str) -> None:
    """End a node's lease for good: it is down, and its key is worth nothing from now on.

    It stays in the list until it is removed. The key goes first: a renewal under way, whose sender
    was let in by it, either has its new lease by then or gets none.

    Raises:
        NotFound: it is in the cluster no more.
    """
    change(etcd, ident, lambda node: replace(node, key=""))
    if lease := _lease(etcd, ident):
        etcd.lease_revoke(lease)


def _grant(etcd: Etcd, ident: str, ttl: int) -> int:
    lease = etcd.lease_grant(ttl)
    puts = (
        Put(keys.ALIVE + ident, str(lease), lease),
        Delete(keys.AWAY + ident),
        Delete(keys.JOINING + ident),
    )
    for _ in attempts(f"give node {ident} a lease"):
        found = etcd.get(keys.NODES + ident)
        if found is None or not _node(found).key:
            etcd.lease_revoke(lease)
            raise _unknown(ident)
        if etcd.txn([unchanged(keys.NODES + ident, found)], puts).succeeded:
            return lease
    raise AssertionError


def _lease(etcd: Etcd, ident: str) -> int:
    found = etcd.get(keys.ALIVE + ident)
    return found.lease if found else 0


def _text(node: Node) -> str:
    return codec.dumps(replace(node, alive=True, leader=False))


def _node(found: KeyValue) -> Node:
    return codec.loads(Node, found.value)


def _unknown(ident: str) -> NotFound:
    return NotFound(f"node {ident} not found")
