"""Traffic: promises tried against the kernel with real sockets, all at once.

A socket stays in the namespace in which it was made. So one process serves all sandboxes: it opens
a listener for each address, a client for each request, and polls them all together. A handful of
requests takes as long as thousands: until the last answer, or the deadline for answers that must
not come.

Datagrams and pings of one source share a socket, since each carries its request's number. Each TCP
connection has a socket of its own; at most WINDOW are open at a time. `verdicts` judges the
outcomes, and the worth of silence.
"""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from plumb.address import IPAddress, family
from plumb.kernel.net.neighbours import forget_neighbours
from plumb.kernel.netns.namespaces import entered
from plumb.probes.promises.promise import Promise
from plumb.probes.promises.verdicts import Observation, controls, server_of, weigh
from plumb.probes.traffic.client import TrafficSession

__all__ = ["Observation", "try_out"]

GROUP = 16
"""Members of a group.

All members of two groups can send to each other without an overflow of the kernel's neighbour table
(gc_thresh3; see `forget_neighbours`).
"""
DISCARD = 9
"""Any port: connect() on a datagram socket looks up the route, and sends nothing."""
Progress = Callable[[int], None]


def try_out(
    promises: Sequence[Promise],
    places: Mapping[str, str],
    seconds: float = 1.0,
    progress: Progress = lambda done: None,
) -> list[Observation]:
    """Try promises.

    Args:
        promises: the promises to try.
        places: the namespace file of each name in the promises ("" for the host's own). A name
            without one sends nothing, and answers without a token.
        seconds: the time to wait for answers that must not come.
        progress: called with the number of requests settled since the last call.
    """
    outcomes = [Observation(promise) for promise in promises]
    with raised_file_limit(), ExitStack() as stack, selectors.DefaultSelector() as watch:
        own = own_addresses(places)
        control = [Observation(promise) for promise in controls(promises, places, own)]
        session = TrafficSession(places, seconds, own, stack, watch, progress)
        session.ask(control)
        batches = list(in_parts(outcomes))
        for batch in batches:
            session.ask(batch)
            if len(batches) > 1:
                session.settle(batch)
                _forget(batch, places)
        session.finish()
    weigh(outcomes, control, places)
    return outcomes


def in_parts(outcomes: Sequence[Observation]) -> Iterator[list[Observation]]:
    """Split requests into parts, each between two groups at most; one source's are in sequence."""
    names = {name: None for each in outcomes for name in (each.promise.source, each.promise.target)}
    group = (
        {name: number // GROUP for number, name in enumerate(names)}
        if len(names) > 2 * GROUP
        else dict.fromkeys(names, 0)
    )
    parts: dict[tuple[int, int], list[Observation]] = {}
    for each in outcomes:
        source, target = group[each.promise.source], group[each.promise.target]
        parts.setdefault((source, target) if source <= target else (target, source), []).append(
            each
        )
    return (sorted(part, key=lambda each: each.promise.source) for part in parts.values())


def _forget(batch: Sequence[Observation], places: Mapping[str, str]) -> None:
    """Delete the neighbour entries that a part's requests have made."""
    names = {
        name
        for each in batch
        for name in (each.promise.source, each.promise.target)
        if name in places
    }
    addresses = {server_of(each.promise)[1] for each in batch}
    for place in {places[name] for name in names}:
        with entered(place):
            forget_neighbours(addresses)


def own_addresses(places: Mapping[str, str]) -> Callable[[str, IPAddress], IPAddress | None]:
    """Return a function that looks up a name's own address on its route to another address.

    Its result is None without such a route.
    """
    known: dict[tuple[str, IPAddress], IPAddress | None] = {}

    def own(name: str, address: IPAddress) -> IPAddress | None:
        key = places[name], address
        if key not in known:
            known[key] = _own(*key)
        return known[key]

    return own


def _own(place: str, address: IPAddress) -> IPAddress | None:
    with (
        entered(place),
        socket.socket(family(address.version), socket.SOCK_DGRAM) as sock,
        suppress(OSError),
    ):
        sock.connect((str(address), DISCARD))
        return type(address)(sock.getsockname()[0].partition("%")[0])
    return None


@contextmanager
def raised_file_limit() -> Iterator[None]:
    """Raise the limit of open files to the hard limit, until the with block ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
