"""Requests about nodes: their leases, their roles, their removal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from plumb.agent.cluster.certificates import tls, tokens
from plumb.agent.cluster.certificates.authority import trust_digest
from plumb.agent.cluster.manager.api import Api
from plumb.agent.cluster.manager.etcd_member import peer_url
from plumb.agent.cluster.state import encryption, keys, nodes, reservations, swarm
from plumb.agent.cluster.state.etcd import membership
from plumb.agent.cluster.state.etcd.refusals import EtcdAway
from plumb.agent.cluster.state.service import election
from plumb.errors import Conflict, NotFound
from plumb.model.cluster import Availability, Node, NodeRole
from plumb.store import codec

ELECTION = 9.0
"""Seconds for which a change waits for a leader of etcd, where one was taken away."""
LONGEST_NUMBERS = 200
"""Letters of a report of keys in use, at most."""
BEAT = nodes.LEASE / 3
"""Seconds between two renewals of a lease, so that two may be lost."""


def heartbeat(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Renew a node's lease, and tell it what it must know.

    Args:
        body: `lease`, the one it had, 0 for none; `programmed`, the numbers of the keys of
            encrypted networks that it uses.

    Returns:
        The lease, the node as it is recorded, the managers, a digest of the trusted authorities,
        and after how many seconds to ask again.
    """
    lease = nodes.renew(api.etcd, caller.id, _own_lease(api, caller, int(body.get("lease", 0))))
    if numbers := str(body.get("programmed", ""))[:LONGEST_NUMBERS]:
        encryption.report(api.etcd, caller.id, numbers, lease)
    _forget_old_authorities(api)
    return {
        "lease": lease,
        "node": codec.plain(caller),
        "managers": managers(api),
        "authorities": trust_digest(api.authorities()),
        "every": BEAT,
    }


def _own_lease(api: Api, caller: Node, lease: int) -> int:
    """The lease if it is the node's, 0 if not: it could keep another node alive."""
    found = api.etcd.get(keys.ALIVE + caller.id)
    return lease if found is not None and found.lease == lease else 0


def _forget_old_authorities(api: Api) -> None:
    """Trust the present authority alone, as soon as it has signed for every node."""
    trusted = api.authorities()
    if len(trusted) > 1:
        present = tokens.digest(trusted[0])
        if all(node.issuer == present for node in nodes.everyone(api.etcd)):
            api.secrets.forget_old()


def managers(api: Api) -> list[str]:
    """List HOST:PORT of all managers."""
    return [
        tls.joined(str(node.address), node.port)
        for node in nodes.everyone(api.etcd)
        if node.role is NodeRole.MANAGER
    ]


def swarm_of(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Return the swarm, and how many nodes it has."""
    known = nodes.everyone(api.etcd)
    return {
        "swarm": codec.plain(api.swarm()),
        "nodes": len(known),
        "managers": sum(node.role is NodeRole.MANAGER for node in known),
    }


def update_swarm(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Change the swarm's settings, and return it.

    Args:
        body: some of `cert_expiry` (hours) and `task_history`.
    """
    names = ("cert_expiry", "task_history")
    changed: dict[str, Any] = {name: int(body[name]) for name in names if name in body}
    return dict(codec.plain(swarm.change(api.etcd, lambda now: replace(now, **changed))))


def everyone(api: Api, caller: Node, body: dict[str, Any]) -> list[dict[str, Any]]:
    """List all nodes, with `alive` and `leader`, which the manager is that assigns tasks."""
    leads = election.leader(api.etcd)
    return [
        codec.plain(replace(node, leader=node.alive and node.id == leads))
        for node in nodes.everyone(api.etcd)
    ]


def peers(api: Api, caller: Node, body: dict[str, Any]) -> list[dict[str, Any]]:
    """List what any node may know of the others: addresses, roles, `alive`."""
    return [
        codec.plain(replace(node, labels=(), key="", issuer=""))
        for node in nodes.everyone(api.etcd)
    ]


def find(known: Sequence[Node], reference: str, own: str) -> Node:
    """Return the node of that id, hostname or beginning of an id; "self" is the one that asks.

    Raises:
        NotFound: none is. Conflict: several are.
    """
    wanted = own if reference == "self" else reference
    for matches in (
        [node for node in known if node.id == wanted],
        [node for node in known if node.hostname == wanted],
        [node for node in known if wanted and node.id.startswith(wanted)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise Conflict(
                f"node {reference} is ambiguous ({len(matches)} matches found)", "name it by its id"
            )
    raise NotFound(f"node {reference} not found")


def update(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Change a node's role, availability or labels.

    Args:
        body: `node`, and some of `role`, `availability`, `labels` (added), `without` (removed).

    Raises:
        NotFound: no such node, or no such label. Conflict: it is the last manager.
    """
    node = find(nodes.everyone(api.etcd), str(body["node"]), caller.id)
    role = NodeRole(body["role"]) if body.get("role") else node.role
    if node.role is NodeRole.MANAGER and role is NodeRole.WORKER:
        if node.id == api.node and not api.store and _others(api, node):
            # Its own member of etcd could not say that it is gone.
            membership.hand_over(api.etcd)
            return dict(api.elsewhere("node-update", {**body, "node": node.id}))
        _demote(api, node)
    changed = _patiently(
        lambda: nodes.change(api.etcd, node.id, lambda now: _changed(now, role, body))
    )
    return dict(codec.plain(changed))


def _patiently(change: Callable[[], Node]) -> Node:
    """Make a change, again while the members that are left elect a leader."""
    deadline = time.monotonic() + ELECTION
    while True:
        try:
            return change()
        except EtcdAway:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _changed(node: Node, role: NodeRole, body: dict[str, Any]) -> Node:
    labels = dict(node.labels)
    for key in body.get("without", ()):
        if key not in labels:
            raise NotFound(f"key {key} doesn't exist in node's labels")
        del labels[key]
    labels |= {str(key): str(value) for key, value in dict(body.get("labels", {})).items()}
    availability = Availability(body["availability"]) if body.get("availability") else None
    return replace(
        node,
        role=role,
        availability=availability or node.availability,
        labels=tuple(sorted(labels.items())),
    )


def _others(api: Api, node: Node) -> list[Node]:
    return [
        other
        for other in nodes.everyone(api.etcd)
        if other.role is NodeRole.MANAGER and other.id != node.id
    ]


def _demote(api: Api, node: Node) -> None:
    """Take a manager's member out of etcd."""
    if not _others(api, node):
        raise Conflict(
            "attempting to demote the last manager of the swarm",
            "promote another node first, or let this one leave with 'plumb swarm leave --force'",
        )
    take_member(api, node)


def take_member(api: Api, node: Node) -> None:
    """Take a node's member out of etcd, one that has not started yet too."""
    for member in membership.members(api.etcd) if not api.store else ():
        starting = not member.name and peer_url(node.address) in member.peers
        if member.name == node.id or starting:
            membership.remove(api.etcd, member.id)


def remove(api: Api, caller: Node, body: dict[str, Any]) -> str:
    """Remove a node, which is out at once; its addresses are free.

    Args:
        body: `node`; `force` for one that is not down.

    Returns:
        Its id.

    Raises:
        NotFound: there is none. Conflict: it is a manager, or not down.
    """
    node = find(nodes.everyone(api.etcd), str(body["node"]), caller.id)
    if node.role is NodeRole.MANAGER:
        raise Conflict(
            f"node {node.id} is a cluster manager and is a member of the raft cluster. "
            "It must be demoted to worker before removal",
            f"'plumb node demote {node.hostname}'",
        )
    if node.alive and not body.get("force"):
        raise Conflict(
            f"node {node.id} is not down and can't be removed",
            "let it leave with 'plumb swarm leave' there, or use --force",
        )
    nodes.remove(api.etcd, node.id)
    reservations.release_node(api.etcd, node.id)
    return node.id


def undo_join(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Forget a node whose joining has failed on its side: it is in no list, and holds nothing.

    Raises:
        Conflict: it is the only manager.
    """
    if caller.role is NodeRole.MANAGER:
        _demote(api, caller)
    nodes.remove(api.etcd, caller.id)
    reservations.release_node(api.etcd, caller.id)
    return True


def leave(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Let a node go: it is down at once, its endpoints are gone, its addresses free.

    It stays in the list of nodes until `node rm`, as with Docker.

    Raises:
        Conflict: it is a manager still.
    """
    if caller.role is NodeRole.MANAGER:
        raise Conflict(f"node {caller.id} is a manager", "demote it first")
    # The long part, which a request that is repeated may find half done: the key is needed for it.
    reservations.release_node(api.etcd, caller.id)
    nodes.leave(api.etcd, caller.id)  # it comes back by a token alone
    # Again: until its lease was gone, the leader may have given it a task, with addresses.
    reservations.release_node(api.etcd, caller.id)
    return True
