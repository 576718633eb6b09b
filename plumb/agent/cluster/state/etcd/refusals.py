"""Errors of etcd as plumb's: a process that is not there, a quorum that is lost, a refusal."""

from __future__ import annotations

from plumb.errors import KernelRefused

NO_QUORUM = ("etcdserver: request timed out", "etcdserver: no leader", "etcdserver: leader changed")
"""Beginnings of etcd's answers where a majority of the members is not there."""
UNSETTLED = ("etcdserver: unhealthy cluster", "etcdserver: re-configuration failed")
"""Beginnings of etcd's answers where a member came or went a moment ago."""


class EtcdRefused(KernelRefused):
    """Refusal by etcd itself, in its words.

    Attributes:
        code: the status code of gRPC: 5 not found, 9 failed precondition, 11 out of range, …
    """

    code = 0


class Compacted(EtcdRefused):
    """A revision that etcd no longer keeps."""


class LeaseGone(EtcdRefused):
    """A lease that has expired or was revoked."""


class Unsettled(EtcdRefused):
    """A change of members while one of them has not been there for five seconds."""


class EtcdAway(KernelRefused):
    """No etcd answers at all; what was asked was not done."""


class Unanswered(EtcdAway):
    """The connection broke, or time was out, before an answer came: it may be done or not."""


class NoQuorum(Unanswered):
    """A member of etcd is there, but not the majority that it needs."""


def away(asked: str, address: object, error: OSError) -> EtcdAway:
    """Error of an etcd that nobody could be connected to."""
    return EtcdAway(
        f"{asked} in the cluster's store",
        error.errno or 0,
        f"etcd does not run at {address}: {error.strerror or error}",
        "plumb starts it again by itself; its log is beside plumb's agent's log",
    )


def unanswered(asked: str, address: object, reason: object) -> Unanswered:
    """Error of a connection that broke before the answer."""
    return Unanswered(
        f"{asked} in the cluster's store",
        0,
        f"etcd at {address} gave no answer: {reason}",
        "what was asked may be done or not: ask again",
    )


def no_quorum(asked: str, said: str) -> NoQuorum:
    """Error of an etcd that has lost its quorum."""
    return NoQuorum(
        f"{asked} in the cluster's store",
        0,
        f"too few managers are there for a quorum: {said}",
        "bring managers back until more than half of them run; 'plumb node ls' shows which",
    )


def refused(asked: str, said: str, code: int) -> KernelRefused:
    """Error of an answer that is one."""
    if said.startswith(NO_QUORUM):
        return no_quorum(asked, said)
    kind = EtcdRefused
    if "has been compacted" in said:
        kind = Compacted
    elif "lease not found" in said:
        kind = LeaseGone
    elif said.startswith(UNSETTLED):
        kind = Unsettled
    error = kind(f"{asked} in the cluster's store", 0, said)
    error.code = code
    return error
