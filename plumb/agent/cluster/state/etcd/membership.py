"""Members of etcd itself: one on each manager."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Json


@dataclass(frozen=True)
class Member:
    """A member; its name is empty until it has started for the first time.

    Attributes:
        id: etcd's own number of it.
        peers: URLs at which the other members reach it.
        learner: it follows, and has no vote yet.
    """

    id: int
    name: str
    peers: tuple[str, ...]
    learner: bool = False


def members(etcd: Etcd) -> tuple[Member, ...]:
    """List all members; needs no quorum."""
    return _members(etcd.read("cluster/member/list", {}, "list etcd's members"))


def add(etcd: Etcd, peers: Sequence[str]) -> tuple[Member, ...]:
    """Add a member that votes, before it starts; returns all members, the new one without a name.

    Raises:
        EtcdRefused: a peer URL is known already, or a member that was added before is not there
            yet, so that one more could cost the quorum.
    """
    return _members(
        etcd.write("cluster/member/add", {"peerURLs": list(peers)}, f"add etcd's member {peers[0]}")
    )


def remove(etcd: Etcd, ident: int) -> tuple[Member, ...]:
    """Remove a member, whose process ends by itself; returns those that remain."""
    return _members(
        etcd.write("cluster/member/remove", {"ID": str(ident)}, f"remove etcd's member {ident}")
    )


def _members(answer: Json) -> tuple[Member, ...]:
    return tuple(
        Member(
            int(found["ID"]),
            found.get("name", ""),
            tuple(found.get("peerURLs", ())),
            bool(found.get("isLearner")),
        )
        for found in answer.get("members", ())
    )
