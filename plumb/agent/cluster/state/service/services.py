"""Services: made, changed, removed, each in one transaction with their names, ports and addresses.

Any manager does it. The leader sees what has changed, and makes the tasks follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from plumb.agent.cluster.certificates import tokens
from plumb.agent.cluster.state import keys, networks
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    absent,
    after,
    below,
    present,
    unchanged,
)
from plumb.agent.cluster.state.service import allotting, asked, moments, ports
from plumb.agent.cluster.state.service.allotting import Drafts, Written
from plumb.agent.cluster.state.service.template import digest
from plumb.errors import Conflict, NotFound
from plumb.frozen import replace
from plumb.model.cnm import Network
from plumb.model.service.service import Service, UpdateState, UpdateStatus, VirtualAddress
from plumb.model.service.spec import ServiceSpec
from plumb.store import codec

UNDER_WAY = "update in progress"
ROLLED = "manually requested rollback"


def create(etcd: Etcd, spec: ServiceSpec, ident: str = "") -> Service:
    """Record a service, with its ports and its own addresses allotted.

    Args:
        spec: its networks by id or name.
        ident: its id, chosen by who asks, so that the request may be repeated.

    Raises:
        Conflict: its name, or a port, is another's.
        NotFound, Invalid: as `asked.resolved` says. Exhausted: an address or a port is missing.
    """
    ident = ident or tokens.new_id()
    for attempt in attempts(f"create service {spec.name}"):
        if (there := get(etcd, ident)) is not None:
            return there
        known = networks.everything(etcd)
        made = asked.resolved(spec, known)
        names = _names(etcd)
        if made.name in names.values():
            raise _named_already(made.name)
        given = ports.chosen(made.ports, (), ports.taken(etcd), ident, names)
        now = moments.text(time.time())
        draft = Service(ident, replace(made, ports=given), created=now, updated=now)
        if (service := _record(etcd, draft, None, known, attempt)) is not None:
            return service
    raise AssertionError


def _named_already(name: str) -> Conflict:
    return Conflict(
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: "
        f"service {name} already exists",
        "choose another name, or remove that service",
    )


def get(etcd: Etcd, ident: str) -> Service | None:
    """Return a service by its id, None without one."""
    found = etcd.get(keys.SERVICES + ident)
    return parsed(found) if found else None


def parsed(found: KeyValue) -> Service:
    """A service as it was read."""
    return codec.loads(Service, found.value)


def everything(etcd: Etcd) -> list[Service]:
    """List all services, by name."""
    found = [parsed(one) for one in etcd.range(below(keys.SERVICES)).keys]
    return sorted(found, key=lambda service: service.spec.name)


def find(etcd: Etcd, reference: str) -> Service | None:
    """Return a service by its id, its name, or a beginning of its id, in this order.

    Raises:
        Conflict: several ids begin like that.
    """
    if not reference or "/" in reference:
        return None
    wanted = keys.SERVICES + reference
    names, begun = etcd.read_all(
        [Get(keys.SERVICE_NAMES + reference), Get(wanted, after(wanted), 2)]
    ).listings
    if begun.first and begun.first.key == wanted:
        return parsed(begun.first)
    if names.first:
        return get(etcd, names.first.value)
    if begun.count > 1:
        raise Conflict(f"service {reference} is ambiguous ({begun.count} matches found)")
    return parsed(begun.first) if begun.first else None


def update(etcd: Etcd, ident: str, version: int, spec: ServiceSpec) -> Service:
    """Give a service another specification.

    Args:
        version: that of the service which the new specification was made from.

    Raises:
        NotFound: there is no such service.
        Conflict: it has changed meanwhile, or has a name or a port that is another's.
        Invalid: as for `create`.
    """

    def change(was: Service, known: Sequence[Network]) -> Service:
        if was.version != version:
            raise Conflict(
                "rpc error: code = Unknown desc = update out of sequence",
                "somebody else has changed the service meanwhile: look at it, and ask again",
            )
        made = asked.resolved(spec, known)
        asked.changed(was.spec, made)
        return replace(was, spec=made, previous=was.spec, update=_begun(was.spec, made))

    return _change(etcd, ident, change)


def _begun(before: ServiceSpec, after_: ServiceSpec) -> UpdateStatus:
    """State of an update that has just been asked for; none where no task must be replaced."""
    if digest(before) == digest(after_) or before.job:
        return UpdateStatus()
    return UpdateStatus(UpdateState.UPDATING, moments.text(time.time()), message=UNDER_WAY)


def roll_back(
    etcd: Etcd, ident: str, message: str = ROLLED, conditions: Sequence[Compare] = ()
) -> Service:
    """Go back to the specification before the last update.

    Args:
        message: the reason.
        conditions: further conditions of the transaction.

    Raises:
        NotFound: there is no such service. Conflict: there is no specification to go back to.
    """

    def change(was: Service, known: Sequence[Network]) -> Service:
        if was.previous is None:
            raise Conflict(
                "rpc error: code = FailedPrecondition desc = service does not have a previous spec"
            )
        asked.check(was.previous, known)
        began = UpdateStatus(UpdateState.ROLLING_BACK, moments.text(time.time()), message=message)
        return replace(was, spec=was.previous, previous=None, update=began)

    return _change(etcd, ident, change, conditions)


def _change(
    etcd: Etcd,
    ident: str,
    how: Callable[[Service, Sequence[Network]], Service],
    conditions: Sequence[Compare] = (),
) -> Service:
    for attempt in attempts(f"change service {ident}"):
        found = etcd.get(keys.SERVICES + ident)
        if found is None:
            raise unknown(ident)
        was, known = parsed(found), networks.everything(etcd)
        made = how(was, known)
        book = ports.taken(etcd)
        given = ports.chosen(made.spec.ports, was.spec.ports, book, ident, _names(etcd))
        made = replace(
            made,
            spec=replace(made.spec, ports=given),
            version=was.version + 1,
            updated=moments.text(time.time()),
        )
        written = _record(etcd, made, found, known, attempt, conditions)
        if written is not None:
            return written
    raise AssertionError


def remove(etcd: Etcd, ident: str) -> None:
    """Remove a service; its tasks are ended by the leader.

    Raises:
        NotFound: there is none.
    """
    for _ in attempts(f"remove service {ident}"):
        found = etcd.get(keys.SERVICES + ident)
        if found is None:
            raise unknown(ident)
        was = parsed(found)
        _, freed = ports.booked((), was.spec.ports, ident)
        gone: list[Operation] = [
            Delete(found.key),
            Delete(keys.SERVICE_NAMES + was.spec.name),
            *_given_back(was.addresses),
            *freed,
        ]
        if etcd.txn([unchanged(found.key, found)], gone).succeeded:
            return


def unknown(reference: str) -> NotFound:
    """Error of a service that is not there."""
    return NotFound(f"service {reference} not found", "'plumb service ls' shows which there are")


def put(found: KeyValue, service: Service) -> tuple[Compare, Put]:
    """Condition and operation of writing what the leader has decided about a service."""
    return unchanged(found.key, found), Put(found.key, codec.dumps(service))


# -- writing --------------------------------------------------------------------------


def _record(
    etcd: Etcd,
    draft: Service,
    before: KeyValue | None,
    known: Sequence[Network],
    attempt: int,
    conditions: Sequence[Compare] = (),
) -> Service | None:
    """Write a service with its addresses; None if somebody was faster."""
    was = parsed(before) if before else None
    nets = {net.id: net for net in known}
    wanted = asked.balanced(draft.spec, nets)
    have = {one.network: one for one in was.addresses} if was else {}
    new = [net for net in wanted if net.id not in have]
    surplus = [one for ident, one in have.items() if ident not in {net.id for net in wanted}]
    made: list[Service] = []

    def compose(drafts: Drafts) -> Written:
        fresh = {net.id: allotting.virtual(drafts[net.id], draft.id) for net in new}
        service = replace(draft, addresses=_in_order(have, fresh, wanted))
        made.append(service)
        compares, operations = ports.booked(
            service.spec.ports, was.spec.ports if was else (), draft.id
        )
        key = keys.SERVICES + draft.id
        compares += [unchanged(key, before), *conditions]
        compares += [present(keys.NETWORKS + ident) for ident in _own(service.spec)]
        if was is None:
            name = keys.SERVICE_NAMES + service.spec.name
            compares.append(absent(name))
            operations.append(Put(name, draft.id))
        operations += [Put(key, codec.dumps(service)), *_given_back(surplus)]
        return compares, operations

    with allotting.turns(etcd, new):
        answer = allotting.write(etcd, new, compose, attempt)
    return made[-1] if answer.succeeded else None


def _in_order(
    have: Mapping[str, VirtualAddress],
    fresh: Mapping[str, VirtualAddress],
    wanted: Sequence[Network],
) -> tuple[VirtualAddress, ...]:
    """Addresses that stay, then the new ones."""
    idents = {net.id for net in wanted}
    return (*(one for one in have.values() if one.network in idents), *fresh.values())


def _own(spec: ServiceSpec) -> list[str]:
    named = (one.network for one in spec.networks)
    return [ident for ident in named if ident not in asked.EVERYWHERE]


def _given_back(addresses: Sequence[VirtualAddress]) -> list[Operation]:
    return [
        Delete(keys.address(one.network, ip.ip))
        for one in addresses
        for ip in (one.ip, one.ip6)
        if ip is not None
    ]


def _names(etcd: Etcd) -> dict[str, str]:
    """Names of all services by their ids."""
    found = etcd.range(below(keys.SERVICE_NAMES)).keys
    return {one.value: keys.last(one.key) for one in found}
