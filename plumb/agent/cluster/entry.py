"""A node's way into a cluster and out of it: init, join, leave.

Each is done whole or taken back. What says that this node is in a cluster is written down last,
and removed first.
"""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Network, ip_address
from typing import Any

from plumb.agent.cluster import managers as managers_of
from plumb.agent.cluster.certificates import authority, pki, signing, tls, tokens
from plumb.agent.cluster.identity import Membership
from plumb.agent.cluster.manager.etcd_member import STATE_NEW, peer_url
from plumb.agent.cluster.manager.parts import INITIAL, PEER, PEER_AUTHORITY, write_store
from plumb.agent.cluster.member import NODE, TRUSTED, Member
from plumb.agent.cluster.state import encryption, networks, nodes, swarm
from plumb.agent.cluster.state.etcd import membership as etcd_members
from plumb.agent.cluster.state.service import moments
from plumb.engine.cluster.node import INGRESS
from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel.cluster.words import ALREADY
from plumb.model.cluster import DATA_PATH_PORT, Availability, Node, NodeRole, Swarm
from plumb.model.cnm import Network
from plumb.model.driver_options import OverlayOptions
from plumb.store import codec

Wish = dict[str, Any]
FORCE_NEW = "--force-new-cluster"
LEAVING = 20.0
"""Seconds for which a node that leaves waits for a manager that can take note of it."""


def init(member: Member, wish: Wish) -> dict[str, Any]:
    """Make a cluster with this node as its first manager.

    Args:
        member: this node.
        wish: `hostname`, `address`, `data_path`, `port`, `listen`, `availability` of the node;
            `pools`, `mask_length`, `tunnel_port` of the swarm; `store` with the URLs and papers of
            an existing etcd, or nothing; `force_new` to go on alone with the state that this
            manager has.

    Returns:
        The node's id and the join tokens.

    Raises:
        Conflict: a network of this host has a name that the cluster needs.
        Unsupported: it is in a cluster, or etcd is not installed.
        KernelRefused: etcd does not start, or a port is taken.
    """
    with member.changing:
        if member.membership is not None:
            if wish.get("force_new"):
                return _go_on_alone(member)
            raise Unsupported(ALREADY)
        member.host.check_names([INGRESS])
        try:
            return _init(member, wish)
        except BaseException:
            member.forget()
            with suppress(PlumbError):
                member.host.depart()
            raise


def _init(member: Member, wish: Wish) -> dict[str, Any]:
    made = _swarm(wish)
    membership = _membership(wish, tokens.new_id(), made, NodeRole.MANAGER)
    membership = replace(membership, managers=(membership.endpoint,))
    issuer, peers = signing.new_authority(authority.NAME), signing.new_authority("etcd-ca")
    request = _first_papers(member, membership, issuer, peers, wish)
    member.manager = manager = member.new_manager(membership)
    manager.start_etcd()
    manager.wait_etcd()
    swarm.create(manager.etcd, made)
    networks.create(manager.etcd, made, _ingress())
    authority.create(manager.etcd, issuer, peers)
    encryption.create(manager.etcd, int(time.time()))
    nodes.put(manager.etcd, _node(wish, membership, signing.request_key_hash(request), issuer))
    manager.serve()
    member.papers.save(membership)
    member.membership = membership
    member.open_session()
    member.wait_lease()
    member.host.join()
    return {"node": membership.node, "tokens": member.ask("tokens", {})}


def _go_on_alone(member: Member) -> dict[str, Any]:
    """Make a cluster of one manager out of the state that this one has, its quorum being lost.

    etcd does it: it starts once with --force-new-cluster, and knows no other member then. It must
    not be told so again, or members that come later were forgotten at its next start.
    """
    membership, manager = member.the_membership(), member.manager
    if manager is None or manager.member is None:
        raise Unsupported(
            "cannot make a new cluster of this node's state: it has none of its own",
            "a manager with a member of etcd has; an existing store's owner restores that",
        )
    manager.close()
    for options in ((FORCE_NEW,), ()):
        member.manager = manager = member.new_manager(membership, *options)
        manager.start_etcd()
        manager.wait_etcd()
        if options:
            manager.close()
    for node in nodes.everyone(manager.etcd):
        if node.role is NodeRole.MANAGER and node.id != membership.node:
            nodes.change(manager.etcd, node.id, lambda one: replace(one, role=NodeRole.WORKER))
    manager.serve()
    member.on_managers((membership.endpoint,))
    return {"node": membership.node, "tokens": member.ask("tokens", {})}


def _first_papers(
    member: Member, membership: Membership, issuer: pki.Authority, peers: pki.Authority, wish: Wish
) -> str:
    """Write the papers of a first manager; the request for its certificate."""
    key, peer_key, papers = signing.new_key(), signing.new_key(), member.papers
    request, node = signing.request(key), membership.node
    certificate = signing.sign_node(issuer, request, node, NodeRole.MANAGER, membership.swarm)
    papers.write(NODE, key + certificate)
    papers.write(TRUSTED, issuer.certificate)
    if membership.store:
        write_store(papers, wish["store"])
        return request
    peer = signing.sign_peer(peers, signing.request(peer_key), node, membership.address)
    papers.write(PEER, peer_key + peer)
    papers.write(PEER_AUTHORITY, peers.certificate)
    papers.write(INITIAL, f"{STATE_NEW} {node}={peer_url(membership.address)}")
    return request


def join(member: Member, wish: Wish) -> dict[str, Any]:
    """Come into a cluster.

    Args:
        member: this node.
        wish: `token`, `remote` (HOST:PORT of a manager); of the node as for `init`, `address`
            empty for the one from which the manager is reached.

    Returns:
        The node's id and role.

    Raises:
        Invalid: the token is none, or of another cluster.
        Conflict: a network of this host has a name that the cluster needs.
        Unsupported: this node is in a cluster.
        KernelRefused: the manager does not answer.
    """
    token = tokens.parse(str(wish["token"]))
    host, port = tls.split(str(wish["remote"]))
    with member.changing:
        if member.membership is not None:
            raise Unsupported(ALREADY)
        member.host.check_names()
        try:
            role = _join(
                member, wish, token, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            )
            if role is NodeRole.MANAGER:
                member.rise()
        except BaseException:
            _undo_join(member)
            raise
    return {"node": member.the_membership().node, "role": role.value}


def _undo_join(member: Member) -> None:
    """Take a joining back that has failed, here and where a manager has taken note of it."""
    membership = member.membership
    if membership is None:
        member.forget()
        return
    with suppress(PlumbError):
        member.ask("join-undo", {}, but=membership.endpoint)
    _forget(member)
    with suppress(PlumbError):
        member.host.depart()


def _join(member: Member, wish: Wish, token: tokens.Token, place: str) -> NodeRole:
    pinned = managers_of.authorities(place, token)
    own = str(wish.get("address") or _source(place))
    key = signing.new_key()
    asked = {
        "secret": token.secret,
        "request": signing.request(key),
        "hostname": wish["hostname"],
        "address": own,
        "data_path": str(wish.get("data_path") or own),
        "port": int(wish["port"]),
        "availability": wish.get("availability") or Availability.ACTIVE.value,
    }
    answer = _ask_to_join(place, pinned, asked)
    node, made = codec.decode(Node, answer["node"]), codec.decode(Swarm, answer["swarm"])
    membership = replace(
        _membership({**wish, **asked}, node.id, made, NodeRole.WORKER),
        managers=(place, *(one for one in answer["managers"] if one != place)),
    )
    member.papers.write(NODE, key + answer["certificate"])
    member.papers.write(TRUSTED, "".join(answer["authorities"]))
    member.papers.save(membership)
    member.membership = membership
    member.open_session()
    member.wait_lease()
    member.host.join()
    return node.role


def _ask_to_join(place: str, pinned: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask to be taken in, and again where no answer came: the manager knows the key by then."""
    with suppress(KernelRefused):
        return dict(managers_of.ask_as_stranger(place, pinned, "join", asked))
    return dict(managers_of.ask_as_stranger(place, pinned, "join", asked))


def leave(member: Member, force: bool) -> bool:
    """Leave the cluster, and forget it.

    Args:
        member: this node.
        force: even where this is a manager, or no manager answers.

    Raises:
        Unsupported: this node is in no cluster, or a manager.
        KernelRefused: no manager answers.
    """
    membership = member.the_membership()
    if membership.role is NodeRole.MANAGER and not force:
        raise Unsupported(_why_stay(member))
    try:
        _say_goodbye(member, membership, _patience(member, force))
    except PlumbError as error:
        if not force and member.removed is None:
            raise
        member.complain(f"left without a word to the managers: {error}")
    _end(member)
    member.host.depart()
    return True


def forget(member: Member) -> bool:
    """Leave the cluster without conditions; a reset takes this host's networks away."""
    if member.membership is not None:
        with suppress(PlumbError):
            _say_goodbye(member, member.membership, _patience(member, force=True))
        _end(member)
    return True


def _end(member: Member) -> None:
    with member.changing:
        _forget(member)


def _forget(member: Member) -> None:
    member.kept.clear()
    member.forget()


def _patience(member: Member, force: bool) -> float:
    """Seconds for which a node that leaves waits for a manager: none by force, where none answers.

    A process that has just been started does not know yet whether one answers.
    """
    session = member.session
    return 0.0 if force and session is not None and session.failure else LEAVING


def _say_goodbye(member: Member, membership: Membership, patience: float) -> None:
    if membership.role is NodeRole.MANAGER:
        others = [one for one in _nodes(member) if one.id != membership.node]
        if not any(one.role is NodeRole.MANAGER for one in others):
            _clear_store(member, membership)
            return  # the cluster ends with its last manager
        if member.manager is not None and not membership.store:
            etcd_members.hand_over(member.manager.etcd)
        demotion = {"node": membership.node, "role": NodeRole.WORKER.value}
        member.ask("node-update", demotion, but=membership.endpoint, patience=patience)
    member.ask("leave", {}, but=membership.endpoint, patience=patience)


def _clear_store(member: Member, membership: Membership) -> None:
    """Remove what is plumb's from a store that goes on without it."""
    if membership.store and member.manager is not None:
        swarm.clear(member.manager.etcd)


def _nodes(member: Member) -> list[Node]:
    return [codec.decode(Node, one) for one in member.ask("nodes", {})]


def _why_stay(member: Member) -> str:
    """The reason for which a manager does not leave, in Docker's words."""
    text = "You are attempting to leave the swarm on a node that is participating as a manager. "
    try:
        managers = [one for one in _nodes(member) if one.role is NodeRole.MANAGER]
    except PlumbError:
        text += "Doing so may lose the consensus of your cluster. "
    else:
        alive = sum(one.alive for one in managers)
        if len(managers) < 2:
            return (
                f"{text}Removing the last manager erases all current state of the swarm. "
                "Use `--force` to ignore this message."
            )
        if alive - 1 < len(managers) // 2 + 1:
            text += (
                f"Removing this node leaves {alive - 1} managers out of {len(managers)}. "
                "Without a Raft quorum your swarm will be inaccessible. "
            )
    return (
        f"{text}The only way to restore a swarm that has lost consensus is to reinitialize it "
        "with `--force-new-cluster`. Use `--force` to suppress this message."
    )


def _ingress() -> Network:
    """The network by which published ports are reached on any node, the first of a cluster."""
    return Network(
        secrets.token_hex(32),
        INGRESS,
        "overlay",
        overlay=OverlayOptions(ingress=True),
        created=moments.now(),
    )


def _swarm(wish: Wish) -> Swarm:
    pools = tuple(IPv4Network(text) for text in wish.get("pools") or ())
    made = Swarm(
        tokens.new_id(),
        mask_length=int(wish.get("mask_length") or 24),
        port=int(wish.get("tunnel_port") or DATA_PATH_PORT),
        created=moments.now(),
    )
    return replace(made, pools=pools) if pools else made


def _membership(wish: Wish, node: str, made: Swarm, role: NodeRole) -> Membership:
    return Membership(
        node=node,
        swarm=made.id,
        role=role,
        address=ip_address(wish["address"]),
        data_path=ip_address(wish.get("data_path") or wish["address"]),
        port=int(wish["port"]),
        listen=str(wish.get("listen") or ""),
        store=tuple(map(str, (wish.get("store") or {}).get("urls", ()))),
        tunnel_port=made.port,
    )


def _node(wish: Wish, membership: Membership, key: str, issuer: pki.Authority) -> Node:
    return Node(
        id=membership.node,
        hostname=str(wish["hostname"]),
        address=membership.address,
        data_path=membership.data_path,
        role=NodeRole.MANAGER,
        availability=Availability(wish.get("availability") or "active"),
        created=moments.now(),
        key=key,
        port=membership.port,
        issuer=tokens.digest(issuer.certificate),
    )


def _source(place: str) -> str:
    """The address of this host from which a manager is reached."""
    host, port = tls.split(place)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])
            return str(probe.getsockname()[0])
    except OSError as error:
        raise KernelRefused(f"find a route to {host}", error.errno or 0, str(error)) from None
