"""Requests about networks and places in them. A node asks for itself, never for another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plumb.agent.cluster.manager.api import Api
from plumb.agent.cluster.state import encryption, endpoints, networks, reservations
from plumb.agent.cluster.state.service import tasks
from plumb.errors import Invalid, NotFound
from plumb.model.cluster import AttachRequest, Node, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.store import codec


def everything(api: Api, caller: Node, body: dict[str, Any]) -> list[dict[str, Any]]:
    """List all networks."""
    return [codec.plain(net) for net in networks.everything(api.etcd)]


def find(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return a network by a `reference`, its id or name, None if there is none."""
    found = networks.find(api.etcd, str(body["reference"]))
    return None if found is None else codec.plain(found)


def create(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Record a `network`, and return it with all that was allotted."""
    net = codec.decode(Network, body["network"])
    return dict(codec.plain(networks.create(api.etcd, api.swarm(), net)))


def remove(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Remove the `network` of an id."""
    networks.remove(api.etcd, str(body["network"]), caller.id)
    return True


def endpoints_of(api: Api, caller: Node, body: dict[str, Any]) -> list[dict[str, Any]]:
    """List the endpoints of a `network` on all nodes."""
    return [codec.plain(end) for end in endpoints.of_network(api.etcd, str(body["network"]))]


def attach(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Reserve addresses for a `wish` of the node that asks."""
    wish = codec.decode(AttachRequest, body["wish"])
    _check_id(wish.endpoint)
    return dict(codec.plain(endpoints.attach(api.etcd, caller.id, wish)))


def part(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Record that the node that asks builds its part of a `network`, by its id."""
    _check_id(str(body["network"]))
    reservations.take_part(api.etcd, caller.id, str(body["network"]))
    return True


def release(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Give back the addresses of `endpoints` of the node that asks."""
    reservations.release(api.etcd, caller.id, [str(ident) for ident in body["endpoints"]])
    return True


def reserved(api: Api, caller: Node, body: dict[str, Any]) -> list[str]:
    """List the ids of endpoints for which the node that asks has addresses.

    Balancers are not among them, nor endpoints of tasks, which the leader has chosen before the
    node has built them.
    """
    held = reservations.of_node(api.etcd, caller.id)
    given = {task.id for task in tasks.everything(api.etcd) if not task.state.ended}
    return [one.endpoint for one in held if one.sandbox and one.sandbox not in given]


def encryption_keys(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the keys of encrypted networks."""
    found = encryption.load(api.etcd)
    return None if found is None else codec.plain(found)


def rotate_encryption(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Begin a rotation of the keys of encrypted networks now; the leader goes on with it."""
    encryption.rotate(api.etcd)
    return True


def publish(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Let other nodes send to `endpoints` of the node that asks, under its `lease`.

    Their addresses must be those that are reserved for them, and their tunnels end at their node:
    or a node could draw the traffic of another's endpoint.
    """
    ends = [codec.decode(RemoteEndpoint, row) for row in body["endpoints"]]
    held = reservations.of_endpoints(api.etcd, caller.id, ends)
    for end in ends:
        own = held.get(end.id)
        if own is None or own.network != end.network:
            raise NotFound(f"endpoint {end.id} has no addresses in the cluster", "attach it anew")
        if (end.ip, end.ip6, end.mac) != (own.ip, own.ip6, own.mac):
            raise Invalid(f"endpoint {end.id} has other addresses", "its reservation says which")
    mine = [replace(end, node=caller.id, vtep=caller.data_path) for end in ends]
    endpoints.publish(api.etcd, caller.id, mine, int(body["lease"]))
    return True


def withdraw(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Let no node send to `endpoints` of the node that asks."""
    endpoints.withdraw(api.etcd, caller.id, [str(ident) for ident in body["endpoints"]])
    return True


def _check_id(text: str) -> None:
    """Refuse an id that could be a part of another key."""
    if not text.isascii() or not text.isalnum():
        raise Invalid(f"invalid id '{text[:80]}'")
