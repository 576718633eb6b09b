"""Functions that carry out what nodes ask of managers, each with who may ask.

Each takes the `Api`, the node that asks (None where anybody may) and the request's arguments.

joining    the way into the cluster: tokens, certificates, etcd's members, the CA
members    nodes: their leases, their roles, their removal
networks   networks and places in them
services   services and tasks
"""

from __future__ import annotations

from plumb.agent.cluster.manager.api import Access, Function
from plumb.agent.cluster.manager.requests import joining, members, networks, services

REQUESTS: dict[str, tuple[Access, Function]] = {
    "join": (Access.ANYBODY, joining.join),
    "renew": (Access.NODE, joining.renew),
    "authorities": (Access.NODE, joining.authorities),
    "manage": (Access.MANAGER, joining.manage),
    "vote": (Access.MANAGER, joining.vote),
    "manage-undo": (Access.MANAGER, joining.undo_manage),
    "tokens": (Access.MANAGER, joining.join_tokens),
    "rotate-token": (Access.MANAGER, joining.rotate_token),
    "rotate-ca": (Access.MANAGER, joining.rotate_authority),
    "heartbeat": (Access.NODE, members.heartbeat),
    "leave": (Access.NODE, members.leave),
    "join-undo": (Access.NODE, members.undo_join),
    "swarm": (Access.NODE, members.swarm_of),
    "swarm-update": (Access.MANAGER, members.update_swarm),
    "nodes": (Access.MANAGER, members.everyone),
    "peers": (Access.NODE, members.peers),
    "node-update": (Access.MANAGER, members.update),
    "node-remove": (Access.MANAGER, members.remove),
    "networks": (Access.MANAGER, networks.everything),
    "network": (Access.NODE, networks.find),
    "network-create": (Access.MANAGER, networks.create),
    "network-remove": (Access.MANAGER, networks.remove),
    "network-endpoints": (Access.MANAGER, networks.endpoints_of),
    "attach": (Access.NODE, networks.attach),
    "part": (Access.NODE, networks.part),
    "release": (Access.NODE, networks.release),
    "reservations": (Access.NODE, networks.reserved),
    "encryption": (Access.NODE, networks.encryption_keys),
    "rotate-encryption": (Access.MANAGER, networks.rotate_encryption),
    "publish": (Access.NODE, networks.publish),
    "withdraw": (Access.NODE, networks.withdraw),
    "service-create": (Access.MANAGER, services.create),
    "services": (Access.MANAGER, services.everything),
    "service": (Access.MANAGER, services.find),
    "service-update": (Access.MANAGER, services.update),
    "service-rollback": (Access.MANAGER, services.roll_back),
    "service-remove": (Access.MANAGER, services.remove),
    "tasks": (Access.MANAGER, services.tasks_of),
    "task-logs": (Access.MANAGER, services.logs),
    "answer": (Access.NODE, services.answer),
    "task-status": (Access.NODE, services.report),
    "tasks-applied": (Access.NODE, services.applied),
}
"""Requests by name."""
