"""Promises of containers that share a network stack: `--network container:NAME` and `host`.

Such a container has no addresses of its own: it runs in the network namespace of another one, or of
the host. It reaches the same addresses, and is reached at the same ones, as the stack's owner.
Packets between containers of one stack pass its loopback interface alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations

from plumb.model.cnm import Sandbox
from plumb.probes.promises.promise import HOST, Member, Promise, Protocol


def with_sharers(made: Sequence[Promise], members: Sequence[Member]) -> list[Promise]:
    """Extend the promises of stacks' owners to the containers that share those stacks.

    Args:
        made: the promises of the host, the world, and the containers with stacks of their own.
        members: all containers, with their endpoints and networks.
    """
    sharers = _sharers(members)
    if not sharers:
        return list(made)
    return [
        replace(promise, source=source, target=target)
        for promise in made
        for source in (promise.source, *sharers.get(promise.source, ()))
        for target in (
            promise.target,
            *(sharers.get(promise.target, ()) if promise.service is None else ()),
        )
    ]


def between_sharers(members: Sequence[Member]) -> Iterator[Promise]:
    """Promises between the containers of one container's stack, its owner included."""
    sharers = _sharers(members)
    for box, ends in members:
        for one, other in permutations((box.name, *sharers.get(box.name, ())), 2):
            for ip in (ip.ip for end, _ in ends for ip in end.ips):
                for protocol in Protocol:
                    yield Promise(
                        one, other, ip, protocol, True, "they share a network stack", None, (ip,)
                    )


def _sharers(members: Sequence[Member]) -> Mapping[str, list[str]]:
    """The containers that share a stack, by its owner: a container's name, or HOST."""
    known, found = {box.id: box for box, _ in members}, defaultdict(list)
    for box, _ in members:
        owner: Sandbox | None = box
        while owner is not None and owner.target:
            owner = known.get(owner.target)
        if box.shares and owner is not None:
            found[HOST if owner.mode == "host" else owner.name].append(box.name)
    return found
