"""Addresses on several networks, chosen and written in one transaction with what they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Interface, IPv6Interface

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.addresses import Draft, listed, nobody
from plumb.agent.cluster.state.etcd.client import Etcd, TxnAnswer
from plumb.agent.cluster.state.etcd.operations import Compare, Operation, below
from plumb.agent.cluster.state.serial import Guess
from plumb.model.cnm import Network
from plumb.model.service.service import VirtualAddress

Drafts = Mapping[str, Draft]
"""Drafts by the networks' ids."""
Written = tuple[list[Compare], list[Operation]]
Compose = Callable[[Drafts], Written]
"""Function that takes addresses from drafts; returns what else the transaction is to hold."""


@contextmanager
def turns(etcd: Etcd, nets: Sequence[Network]) -> Iterator[None]:
    """Wait for the others of this manager who want addresses of the same networks."""
    with ExitStack() as stack:
        for ident in sorted({net.id for net in nets}):
            stack.enter_context(etcd.turns.turn(ident))
        yield


def write(etcd: Etcd, nets: Sequence[Network], compose: Compose, attempt: int) -> TxnAnswer:
    """Make one attempt at a transaction with addresses of networks.

    Args:
        attempt: how many came too late before; the first one takes it that what comes next is free.
    """
    wanted = list({net.id: net for net in nets}.values())
    drafts: dict[str, Draft] = {}
    sources: list[tuple[Guess, Draft]] = []
    listings = (
        etcd.read_all([below(f"{keys.SERIAL}{net.id}/") for net in wanted]).listings
        if (wanted)
        else ()
    )
    for net, listing in zip(wanted, listings, strict=True):
        source = Guess(net, listing.keys, listed(etcd, net) if attempt else nobody)
        drafts[net.id] = Draft(net, source)
        sources.append((source, drafts[net.id]))
    compares, operations = compose(drafts)
    for source, draft in sources:
        source.finish(draft)
        compares += draft.compares
        operations += draft.operations
    return etcd.txn(compares, operations)


def addresses(draft: Draft, owner: str) -> tuple[IPv4Interface, IPv6Interface | None]:
    """Take the next addresses of a network for the owner of a key: IPv6 too where it has that."""
    ip = draft.take(4, None, owner)
    ip6 = draft.take(6, None, owner) if draft.net.ipv6 else None
    assert isinstance(ip, IPv4Interface)
    assert ip6 is None or isinstance(ip6, IPv6Interface)
    return ip, ip6


def virtual(draft: Draft, service: str) -> VirtualAddress:
    """Take a service's own address on a network."""
    ip, ip6 = addresses(draft, keys.SERVICES + service)
    return VirtualAddress(draft.net.id, ip, ip6)
