"""Nodes that went away for good: their reservations are given back after a day.

Until then a node that comes back has the addresses that it had. A node that has never had a lease,
as where the answer to its `swarm join` was lost, is removed within minutes. Any manager may sweep,
several at once too; nothing depends on how often.
"""

from __future__ import annotations

from dataclasses import replace

from plumb.agent.cluster.state import keys, nodes, reservations
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Delete, Put, absent, below, present

DAY = 24 * 3600
"""Seconds for which a node without a lease keeps its addresses."""

NEVER_CAME = 120
"""Seconds that a node may take from `swarm join` to its first lease."""


def sweep(etcd: Etcd, now: float, longest: float = DAY) -> list[str]:
    """Note which nodes are away, and give back what those have reserved that were away too long.

    What a node left that is in the cluster no more is given back at once.

    Args:
        now: seconds since the epoch, by this manager's clock.
        longest: seconds that a node may be away.

    Returns:
        Ids of the nodes whose reservations were given back.
    """
    known = {node.id: node for node in nodes.everyone(etcd)}
    since = {keys.last(one.key): float(one.value) for one in etcd.range(below(keys.AWAY)).keys}
    gone = _holders(etcd) - known.keys()
    joining = {keys.last(one.key) for one in etcd.range(below(keys.JOINING)).keys}
    for node in known.values():
        if node.alive:
            _note_return(etcd, node.id, node.id in since)
        elif node.id not in since:
            _note_absence(etcd, node.id, now)
        elif node.id in joining and now - since[node.id] > NEVER_CAME:
            nodes.remove(etcd, node.id)
        elif now - since[node.id] > longest:
            gone.add(node.id)
    return [node for node in sorted(gone) if reservations.release_node(etcd, node)]


def _note_absence(etcd: Etcd, node: str, now: float) -> None:
    key = keys.AWAY + node
    alive = keys.ALIVE + node
    etcd.txn([absent(key), absent(alive), present(keys.NODES + node)], [Put(key, f"{now:.0f}")])


def _note_return(etcd: Etcd, node: str, noted: bool) -> None:
    if noted:
        etcd.txn([present(keys.ALIVE + node)], [Delete(keys.AWAY + node)])


def _holders(etcd: Etcd) -> set[str]:
    """Ids of nodes that have anything reserved."""
    wanted = [replace(below(prefix), keys_only=True) for prefix in (keys.RESERVED, keys.BALANCERS)]
    listings = etcd.read_all(wanted).listings
    found = [one.key for listing in listings for one in listing.keys]
    return {key.removeprefix(keys.ROOT).split("/")[1] for key in found}
