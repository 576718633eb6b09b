"""Traffic: promises held against the kernel, with real sockets, all at once.

A socket belongs to the namespace in which it was made, wherever it is used later. So one process
can be at home in every sandbox: it opens a listener for each address that is asked for, a client
for each question, and watches them all together. A handful of questions takes as long as thousands:
until the last answer, or the deadline for those that must not come.

Datagrams and pings of one asker share a socket, since each carries its question's number; a TCP
connection is a socket of its own, of which no more than WINDOW are open at a time. What is done
with the outcomes, and what silence is worth, is in `outcomes`.
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
from plumb.probes.promises.verdicts import Observation, asked, controls, weigh
from plumb.probes.traffic.client import TrafficSession

__all__ = ["Observation", "try_out"]

CROWD = 16
"""Of so many and so many more, everybody can ask everybody without the kernel's table of neighbours running over (see `vicinity`)."""
DISCARD = 9
"""A port; a datagram socket that is connected sends nothing yet."""
Progress = Callable[[int], None]


def try_out(
    promises: Sequence[Promise],
    places: Mapping[str, str],
    seconds: float = 1.0,
    progress: Progress = lambda done: None,
) -> list[Observation]:
    """Try what is promised.

    Args:
        promises: what to try.
        places: the namespace file of each name that the promises speak of ("" for the host's own).
            Who has none asks nothing and answers without a token.
        seconds: how long to wait for what must not come.
        progress: is told how many more questions are settled, now and then.
    """
    outcomes = [Observation(promise) for promise in promises]
    with many_files(), ExitStack() as stack, selectors.DefaultSelector() as watch:
        own = own_addresses(places)
        control = [Observation(promise) for promise in controls(promises, places, own)]
        exchange = TrafficSession(places, seconds, own, stack, watch, progress)
        exchange.ask(control)
        batches = list(in_crowds(outcomes))
        for batch in batches:
            exchange.ask(batch)
            if len(batches) > 1:
                exchange.settle(batch)
                _forget(batch, places)
        exchange.finish()
    weigh(outcomes, control, places)
    return outcomes


def in_crowds(outcomes: Sequence[Observation]) -> Iterator[list[Observation]]:
    """The questions in parts, each between two crowds at most, and in each the questions of one asker together."""
    names = {name: None for each in outcomes for name in (each.promise.source, each.promise.target)}
    crowd = (
        {name: number // CROWD for number, name in enumerate(names)}
        if len(names) > 2 * CROWD
        else dict.fromkeys(names, 0)
    )
    parts: dict[tuple[int, int], list[Observation]] = {}
    for each in outcomes:
        source, target = crowd[each.promise.source], crowd[each.promise.target]
        parts.setdefault((source, target) if source <= target else (target, source), []).append(
            each
        )
    return (sorted(part, key=lambda each: each.promise.source) for part in parts.values())


def _forget(batch: Sequence[Observation], places: Mapping[str, str]) -> None:
    """Have the kernel forget the neighbours that were learnt by asking each other."""
    names = {
        name
        for each in batch
        for name in (each.promise.source, each.promise.target)
        if name in places
    }
    addresses = {asked(each.promise)[1] for each in batch}
    for place in {places[name] for name in names}:
        with entered(place):
            forget_neighbours(addresses)


def own_addresses(places: Mapping[str, str]) -> Callable[[str, IPAddress], IPAddress | None]:
    """A function that tells a name's own address on its way to another one.

    None where it has no way there.
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
        socket.socket(family(address.version), socket.SOCK_DGRAM) as way,
        suppress(OSError),
    ):
        way.connect((str(address), DISCARD))
        return type(address)(way.getsockname()[0].partition("%")[0])
    return None


@contextmanager
def many_files() -> Iterator[None]:
    """As many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
