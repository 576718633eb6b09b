"""Ports that every node of the cluster publishes: one book for all services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Compare, Delete, Operation, Put, absent, below
from plumb.errors import Conflict, Exhausted, Invalid
from plumb.frozen import replace
from plumb.model.ports import PublishMode, ServicePort

FIRST, LAST = 30000, 32767
"""Ports that are chosen where no number was given, as Docker's."""

Place = tuple[str, int]
"""Protocol and number."""


def taken(etcd: Etcd) -> dict[Place, str]:
    """Ports with the ids of the services that have them."""
    found = {}
    for one in etcd.range(below(keys.PORTS)).keys:
        protocol, number = one.key.removeprefix(keys.PORTS).split("/")
        found[protocol, int(number)] = one.value
    return found


def chosen(
    wanted: Sequence[ServicePort],
    before: Sequence[ServicePort],
    book: Mapping[Place, str],
    service: str,
    names: Mapping[str, str],
) -> tuple[ServicePort, ...]:
    """Choose numbers for ports without one; those that a service has had for a target stay.

    Args:
        wanted: ports as asked for; before: those of the service until now.
        book: what all services have; service: the id of this one.
        names: services' names by id, for an error's words.

    Raises:
        Conflict: another service has a port. Invalid: a port is given twice.
        Exhausted: none is free.
    """
    numbers = {
        (port.target, port.protocol): port.published
        for port in before
        if port.mode is PublishMode.INGRESS
    }
    mine = {(p.protocol, p.published) for p in wanted if _ours(p) and p.published}
    others = {place for place, owner in book.items() if owner != service}
    made: list[ServicePort] = []
    for port in wanted:
        number = port.published
        if _ours(port) and not number:
            number = numbers.get((port.target, port.protocol), 0)
            if not number or (port.protocol, number) in mine:
                number = _free(port.protocol, others | mine)
            mine.add((port.protocol, number))
        made.append(replace(port, published=number))
    _check(made, book, service, names)
    return tuple(made)


def _ours(port: ServicePort) -> bool:
    return port.mode is PublishMode.INGRESS


def _free(protocol: str, used: set[Place]) -> int:
    for number in range(FIRST, LAST + 1):
        if (protocol, number) not in used:
            return number
    raise Exhausted(f"no {protocol} port from {FIRST} to {LAST} is free", "name one")


def _check(
    ports: Sequence[ServicePort], book: Mapping[Place, str], service: str, names: Mapping[str, str]
) -> None:
    earlier: set[Place] = set()
    for port in ports:
        place = (port.protocol, port.published)
        if port.published and place in earlier:
            raise Invalid(
                f"EndpointSpec: duplicate published ports provided: {port.published}",
                "each port of the nodes leads to one port of the tasks",
            )
        earlier.add(place)
        owner = book.get(place, service) if _ours(port) else service
        if owner != service:
            raise Conflict(
                f"port '{port.published}' is already in use by service"
                f" '{names.get(owner, '')}' ({owner}) as an ingress port"
            )


def booked(
    ports: Iterable[ServicePort], before: Iterable[ServicePort], service: str
) -> tuple[list[Compare], list[Operation]]:
    """Conditions and operations by which a service gets its ports, and gives old ones back."""
    new = {(p.protocol, p.published) for p in ports if _ours(p)}
    old = {(p.protocol, p.published) for p in before if _ours(p)}
    compares = [absent(keys.port(*place)) for place in sorted(new - old)]
    puts: list[Operation] = [Put(keys.port(*place), service) for place in sorted(new - old)]
    return compares, [*puts, *(Delete(keys.port(*place)) for place in sorted(old - new))]
