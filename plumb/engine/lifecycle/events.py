"""Events that follow from what an operation has changed, in Docker's order.

They are found by comparing the intent before and after: so no verb has to tell what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network, Role, Sandbox, Status
from plumb.model.lifecycle.events import CONTAINER, NETWORK, Event
from plumb.store.change import Intent


@frozen
class Changed:
    """Changes of one operation to the intent.

    Attributes:
        put: values as they are afterwards; dropped: those that are gone, as they were at last.
        before: values as they were, by id; one that is not there is new.
        asked: by container, the seconds that its command had to end, and the signal that asked it;
        killed: the signals of `kill`.
        network: finds a network by its id.
    """

    put: tuple[Intent, ...]
    dropped: tuple[Intent, ...]
    before: Mapping[str, Intent]
    asked: Mapping[str, tuple[float, int]]
    killed: Mapping[str, int]
    network: Callable[[str], Network | None]


def events(changed: Changed) -> Iterator[Event]:
    """Find the events of an operation."""
    yield from (_network(net, "create") for net in _new(changed) if isinstance(net, Network))
    boxes = _boxes(changed)
    left, joined = map(_by_sandbox, _places(changed))
    for ident in {**boxes, **left, **joined}:
        away = (_place(changed, end, "disconnect") for end in left.get(ident, ()))
        there = (_place(changed, end, "connect") for end in joined.get(ident, ()))
        if ident in boxes:
            yield from _life(changed, *boxes[ident], away, there)
        else:
            yield from (*away, *there)
    gone = (net for net in changed.dropped if isinstance(net, Network) and net.id in changed.before)
    yield from (_network(net, "destroy") for net in gone)


def _new(changed: Changed) -> Iterator[Intent]:
    """Yield what is new; predefined networks were always there."""
    for value in changed.put:
        predefined = isinstance(value, Network) and value.predefined
        if value.id not in changed.before and not predefined:
            yield value


Box = tuple[Sandbox | None, Sandbox, bool]


def _boxes(changed: Changed) -> dict[str, Box]:
    """Return containers before and at last, and whether they are gone, by id."""
    found: dict[str, Box] = {}
    for values, gone in ((changed.put, False), (changed.dropped, True)):
        for value in values:
            if isinstance(value, Sandbox) and value.role is Role.CONTAINER:
                was = changed.before.get(value.id)
                found[value.id] = (was if isinstance(was, Sandbox) else None, value, gone)
    return found


def _places(changed: Changed) -> tuple[list[Endpoint], list[Endpoint]]:
    """Return the endpoints that are gone, and those that are new."""
    gone = [end for end in changed.dropped if isinstance(end, Endpoint)]
    return (
        [end for end in gone if end.id in changed.before],
        [end for end in _new(changed) if isinstance(end, Endpoint)],
    )


def _by_sandbox(ends: Iterable[Endpoint]) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    for end in ends:
        found.setdefault(end.sandbox, []).append(end)
    return found


def _life(
    changed: Changed,
    was: Sandbox | None,
    now: Sandbox,
    gone: bool,
    away: Iterable[Event],
    there: Iterable[Event],
) -> Iterator[Event]:
    ran = was is not None and was.status is Status.RUNNING
    runs = now.status is Status.RUNNING and not gone
    anew = ran and runs and was is not None and now.start != was.start
    by_hand = now.id in changed.asked
    if was is None and not gone:
        yield _container(now, "create")
    if now.id in changed.killed:
        yield _container(now, "kill", signal=str(changed.killed[now.id]))
    if ran and (anew or not runs):
        if by_hand:
            yield _container(now, "kill", signal=str(changed.asked[now.id][1]))
        yield _died(was or now, now)
    yield from away
    if ran and (anew or not runs) and by_hand and not gone:
        yield _container(now, "stop")
    yield from there
    if runs and (anew or not ran):
        yield _container(now, "start")
    if anew and by_hand:
        yield _container(now, "restart")
    yield from _kept(was, now, gone)


def _kept(was: Sandbox | None, now: Sandbox, gone: bool) -> Iterator[Event]:
    """Yield what becomes of a container whether it runs or not."""
    if was is not None and was.name != now.name:
        yield _container(now, "rename", oldName=f"/{was.name}")
    if was is not None and was.restart != now.restart:
        yield _container(now, "update")
    if was is not None and gone:
        yield _container(now, "destroy")


def _died(was: Sandbox, now: Sandbox) -> Event:
    lasted = 0
    if was.started and now.finished:
        begin, end = datetime.fromisoformat(was.started), datetime.fromisoformat(now.finished)
        lasted = max(0, int((end - begin).total_seconds()))
    return _container(now, "die", execDuration=str(lasted), exitCode=str(now.exit_code))


def _container(box: Sandbox, action: str, **more: str) -> Event:
    return Event(CONTAINER, action, box.id, (*box.labels, ("name", box.name), *more.items()))


def _network(net: Network, action: str) -> Event:
    return Event(NETWORK, action, net.id, (("name", net.name), ("type", net.driver)))


def _place(changed: Changed, end: Endpoint, action: str) -> Event:
    net = changed.network(end.network) or changed.before.get(end.network)
    known = (("name", net.name), ("type", net.driver)) if isinstance(net, Network) else ()
    return Event(NETWORK, action, end.network, (("container", end.sandbox), *known))
