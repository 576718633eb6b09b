"""Requests about the way into the cluster: tokens, certificates, etcd's members, the CA."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from plumb.agent.cluster.certificates import signing, tokens
from plumb.agent.cluster.manager.api import Api
from plumb.agent.cluster.manager.etcd_member import peer_url
from plumb.agent.cluster.manager.requests.members import managers, take_member
from plumb.agent.cluster.state import nodes
from plumb.agent.cluster.state.etcd import membership
from plumb.errors import Invalid, KernelRefused
from plumb.model.cluster import Availability, Node, NodeRole
from plumb.store import codec

LONGEST_NAME = 255
"""Letters of a host's name, at most."""


def join(api: Api, caller: None, body: dict[str, Any]) -> dict[str, Any]:
    """Take a node into the cluster, in the role that its token stands for.

    Args:
        body: `secret` of the token, `request` for a certificate, and what the node says of itself:
            `hostname`, `address`, `data_path`, `port`, `availability`.

    Returns:
        Its id, role and certificate, the swarm, the authorities and the managers.

    Raises:
        Invalid: the secret is none, or what the node says makes no sense.
    """
    role = api.secrets.role_of(str(body["secret"]))
    issuer = api.secrets.authority()
    key = signing.request_key_hash(str(body["request"]))
    node = nodes.of_key(api.etcd, key)  # the answer to an earlier try may have been lost
    if node is None:
        node = _new_node(body, role, key, tokens.digest(issuer.certificate))
        nodes.put(api.etcd, node)
    swarm = api.swarm()
    certificate = signing.sign_node(
        issuer, str(body["request"]), node.id, node.role, swarm.id, swarm.cert_expiry
    )
    return {
        "node": codec.plain(node),
        "swarm": codec.plain(swarm),
        "certificate": certificate,
        "authorities": api.authorities(),
        "managers": managers(api),
    }


def _new_node(body: dict[str, Any], role: NodeRole, key: str, issuer: str) -> Node:
    return Node(
        id=tokens.new_id(),
        hostname=_hostname(str(body["hostname"])),
        address=ip_address(body["address"]),
        data_path=ip_address(body["data_path"]),
        role=role,
        availability=Availability(body.get("availability", "active")),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        key=key,
        port=int(body["port"]),
        issuer=issuer,
    )


def _hostname(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= LONGEST_NAME or "/" in text:
        raise Invalid(f"invalid hostname '{text[:80]}'", f"1 to {LONGEST_NAME} letters and digits")
    return text


def renew(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Sign a node's key anew, for the role that it has now.

    Args:
        body: `request`, of the key that the node has.
    """
    if signing.request_key_hash(str(body["request"])) != caller.key:
        raise Invalid("cannot renew a certificate for another key", "leave the cluster, and join")
    issuer = api.secrets.authority()
    swarm = api.swarm()
    certificate = signing.sign_node(
        issuer, str(body["request"]), caller.id, caller.role, swarm.id, swarm.cert_expiry
    )
    digest = tokens.digest(issuer.certificate)
    nodes.change(api.etcd, caller.id, lambda node: replace(node, issuer=digest))
    return {"certificate": certificate, "authorities": api.authorities()}


def authorities(api: Api, caller: Node, body: dict[str, Any]) -> list[str]:
    """List the certificates that are trusted now."""
    return api.authorities()


def manage(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, Any]:
    """Prepare etcd for a node that becomes a manager: a member that has no vote yet.

    A member without a vote cannot cost the quorum, should it never come.

    Args:
        body: `request`, of a key for etcd's peers.

    Returns:
        `certificate` and `authority` for its peers and `initial`, all members; or `store`, where
        managers use an existing etcd.
    """
    if api.store:
        return {"store": api.store}
    url = peer_url(caller.address)
    issuer = api.secrets.peers()
    certificate = signing.sign_peer(issuer, str(body["request"]), caller.id, caller.address)
    for member in membership.members(api.etcd):
        if url in member.peers or member.name == caller.id:
            membership.remove(api.etcd, member.id)  # an earlier try of it, or its predecessor
    known = membership.add_learner(api.etcd, [url])
    initial = ",".join(
        f"{member.name or caller.id}={peer}"
        for member in known
        for peer in member.peers
        if member.name or peer == url
    )
    return {"certificate": certificate, "authority": issuer.certificate, "initial": initial}


def vote(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Give a manager's member its vote; whether it is there to have one.

    Raises:
        KernelRefused: it has not caught up with the others yet.
    """
    url = peer_url(caller.address)
    for member in membership.members(api.etcd):
        if url in member.peers:
            if member.learner:
                membership.promote(api.etcd, member.id)
            return True
    raise KernelRefused("give a vote in etcd", 0, f"there is no member {url}", "promote it again")


def undo_manage(api: Api, caller: Node, body: dict[str, Any]) -> bool:
    """Take the member of a node that could not become a manager out of etcd.

    It must run still: of two members with a vote, one alone cannot take the other out.
    """
    take_member(api, caller)
    return True


def join_tokens(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, str]:
    """Return the join tokens by role."""
    return {role.value: str(api.secrets.token(role)) for role in NodeRole}


def rotate_token(api: Api, caller: Node, body: dict[str, Any]) -> dict[str, str]:
    """Draw a new join secret for a `role`, and return the tokens."""
    api.secrets.rotate_token(NodeRole(body["role"]))
    return join_tokens(api, caller, body)


def rotate_authority(api: Api, caller: Node, body: dict[str, Any]) -> list[str]:
    """Make a new CA; nodes renew their certificates when their leases are renewed."""
    api.secrets.rotate()
    return api.authorities()
