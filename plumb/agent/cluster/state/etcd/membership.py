"""Members of etcd itself: one on each manager."""

from __future__ import annotations

import time
from collections.abc import Sequence

from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Json
from plumb.frozen import frozen

SETTLING = 20.0
"""Seconds for which a change of members is asked for again."""


@frozen
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
        EtcdRefused: a peer URL is known already.
        Unsettled: a member that was added before is not there, so that one more could cost the
            quorum.
    """
    asked = f"add etcd's member {peers[0]}"
    return _members(_settled(etcd, "cluster/member/add", {"peerURLs": list(peers)}, asked))


def add_learner(etcd: Etcd, peers: Sequence[str]) -> tuple[Member, ...]:
    """Add a member that follows, and cannot cost the quorum should it never come; as `add`."""
    wanted = {"peerURLs": list(peers), "isLearner": True}
    return _members(_settled(etcd, "cluster/member/add", wanted, f"add etcd's member {peers[0]}"))


def promote(etcd: Etcd, ident: int) -> tuple[Member, ...]:
    """Give a learner its vote; returns all members.

    Raises:
        EtcdRefused: it has not caught up with the leader yet.
    """
    asked = f"give etcd's member {ident} a vote"
    return _members(etcd.write("cluster/member/promote", {"ID": str(ident)}, asked))


def hand_over(etcd: Etcd) -> None:
    """Let another member lead, if the one that answers does: then nobody waits for an election."""
    status = etcd.status()
    if status.leader != status.member:
        return
    heirs = [one for one in members(etcd) if one.id != status.member and not one.learner]
    if heirs:
        wanted = {"targetID": str(heirs[0].id)}
        etcd.write("maintenance/transfer-leadership", wanted, "let another member lead etcd")


def remove(etcd: Etcd, ident: int) -> tuple[Member, ...]:
    """Remove a member, whose process ends by itself; returns those that remain.

    Raises:
        EtcdRefused: there is no such member.
        Unsettled: the others that are there would be no majority.
    """
    asked = f"remove etcd's member {ident}"
    return _members(_settled(etcd, "cluster/member/remove", {"ID": str(ident)}, asked))


def _settled(etcd: Etcd, path: str, body: Json, asked: str) -> Json:
    """Ask for a change of members, again while a member is new.

    etcd refuses one unless all members have been connected for five seconds; nothing is done then.
    """
    deadline = time.monotonic() + SETTLING
    while True:
        try:
            return etcd.write(path, body, asked)
        except refusals.Unsettled:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.25)


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
