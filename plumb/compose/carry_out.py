"""Up and down of a project on a host: the changes as one operation, as far as nothing is awaited.

Networks and containers come and go in one operation, whole or not at all. A container that waits
until another is healthy, or has done its work, is created in it and started later, by an operation
of its own: the conditions are what time passes for.

A network of the cluster goes only when the containers on it have gone: its removal is an operation
of its own behind theirs, and the network in its place comes in a third.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from plumb.compose import changes, labels, options
from plumb.compose.changes import Changes, Policy, Present
from plumb.compose.project import ComposeService, Condition, Dependency, Project
from plumb.engine.host import Host
from plumb.engine.operation import Operation
from plumb.engine.verbs import Transaction
from plumb.errors import Broken, Conflict
from plumb.frozen import frozen
from plumb.model.cluster import NodeRole
from plumb.model.cnm import Network, Sandbox, Status
from plumb.model.lifecycle.health import HEALTHY, UNHEALTHY

PAUSE = 0.05
"""Seconds between two looks at the record."""


@frozen
class UpOptions:
    """Options of `up`.

    Attributes:
        services: names of those that are meant; none: all.
        policy: which containers that are there already are made anew.
        remove_orphans: containers of services that the files do not have are removed.
        start: containers are started, not only created.
        timeout: seconds that commands have to end in; None: as their containers were made.
    """

    services: tuple[str, ...] = ()
    policy: Policy = Policy.CHANGED
    remove_orphans: bool = False
    start: bool = True
    timeout: float | None = None


def up(host: Host, project: Project, asked: UpOptions, *, awaits: bool = True) -> Changes:
    """Make networks and containers as a project says; return what has changed.

    Args:
        awaits: conditions of dependencies are awaited; False: all is one operation (dry runs).

    Raises:
        StepFailed: a step failed; its operation has changed nothing.
        Broken: a dependency is not what another service waits for.
        Conflict: a container of somebody else is on a network that is to be made anew. On one of
            the cluster that other nodes use, the project's containers here have gone by then.
        Others as the verbs of the library have them; nothing has changed then.
    """
    chosen = project.chosen(asked.services)
    turn = _turns(project, chosen) if awaits else {}
    wanted = _changed(host, project, chosen, asked, turn)
    again = wanted
    if _of_cluster(wanted) and _remove_from_cluster(host, wanted):
        again = _changed(host, project, chosen, asked, turn)
    later = {name: turn[name] for name in again.start if turn.get(name)} if asked.start else {}
    _start_later(host, project, chosen, later)
    return wanted


def _changed(
    host: Host,
    project: Project,
    chosen: Sequence[ComposeService],
    asked: UpOptions,
    turn: dict[str, int],
) -> Changes:
    """Remove what is not as the project says; create the rest unless the cluster comes between."""
    with host.change() as op:
        wanted = changes.up(
            project, _present(op), chosen, asked.policy, remove_orphans=asked.remove_orphans
        )
        _remove(op, wanted, asked.timeout)
        if not _of_cluster(wanted):
            _create(op, project, wanted)
            for name in wanted.start if asked.start else ():
                if not turn.get(name):
                    Transaction(op).start(name)
    return wanted


def down(
    host: Host, project: Project, *, remove_orphans: bool = False, timeout: float | None = None
) -> Changes:
    """Remove a project's containers and networks; return what has gone.

    Args:
        remove_orphans: those of services that the files do not have too.
        timeout: seconds that commands have to end in; None: as their containers were made.

    Raises:
        StepFailed: a step failed; all is as before.
        Conflict: a container of somebody else is on one of its networks. Nothing has changed then;
            where it is on another node and the network is the cluster's, the containers and the
            other networks have gone.
    """
    with host.change() as op:
        wanted = changes.down(project, _present(op), remove_orphans=remove_orphans)
        _remove(op, wanted, timeout)
    if _of_cluster(wanted):
        _remove_from_cluster(host, wanted)
    return wanted


def _of_cluster(wanted: Changes) -> list[Network]:
    """Networks of the cluster that are to go."""
    return [net for net in wanted.remove_networks if net.of_cluster]


def _remove_from_cluster(host: Host, wanted: Changes) -> bool:
    """Remove the cluster's networks, whose containers have gone; False in a dry run: they stay.

    Raises:
        Conflict: a container of another node is on one.
    """
    with host.change() as op:
        for net in _of_cluster(wanted):
            Transaction(op).remove_network(net)
        return not any(op.cluster.network(net.id) for net in _of_cluster(wanted))


def _present(op: Operation) -> Present:
    return Present(
        (*op.all(Network), *_elsewhere(op)), tuple(box for box in op.all(Sandbox) if not box.role)
    )


def _elsewhere(op: Operation) -> Iterator[Network]:
    """Yield networks of the cluster that have no part on this host."""
    node = op.cluster.node() if op.cluster.connected() else None
    if node is not None and node.role is NodeRole.MANAGER:
        yield from (net for net in op.cluster.networks() if op.network(net.id) is None)


def _remove(op: Operation, wanted: Changes, timeout: float | None) -> None:
    """Remove containers and networks; those of the cluster go when their containers have gone.

    Raises:
        Conflict: a container of somebody else is on one; what the cluster refuses later is refused
            before anything has gone, as far as this host knows.
    """
    transaction = Transaction(op)
    _require_unused(op, wanted)
    for box in wanted.remove:
        if timeout is not None:
            transaction.stop(box, timeout=timeout)
        transaction.remove(box, force=True)
    for net in wanted.remove_networks:
        if not net.of_cluster:
            transaction.remove_network(net)


def _require_unused(op: Operation, wanted: Changes) -> None:
    """See that nobody else on this host is on the cluster's networks that are to go.

    Raises:
        Conflict: somebody is.
    """
    leaving = {box.id for box in wanted.remove}
    for net in _of_cluster(wanted):
        for end in op.endpoints(network=net.id):
            box = op.sandbox(end.sandbox)
            if box is not None and not box.role and box.id not in leaving:
                raise Conflict(
                    f"network {net.name} is to be removed, and container {box.name} is on it",
                    f"plumb network disconnect {net.name} {box.name}",
                )


def _create(op: Operation, project: Project, wanted: Changes) -> None:
    transaction = Transaction(op)
    for net in wanted.create_networks:
        transaction.create_network(net.name, **options.network(project, net))
    networks = {key: net.name for key, net in project.networks.items()}
    for each in wanted.create:
        service = project.services[each.service]
        transaction.create(each.name, **options.container(project, service, each.number, networks))


# -- conditions ---------------------------------------------------------------


def _turns(project: Project, chosen: Sequence[ComposeService]) -> dict[str, int]:
    """Turn in which each container is started: one more than that of a container it waits for."""
    found: dict[str, int] = {}
    for service in chosen:
        awaited = {each.service for each in service.depends_on if _is_awaited(each)}
        turns = (found.get(name, 0) + (name in awaited) for name in service.needed)
        found[service.name] = max(turns, default=0)
    return {
        name: found[service.name] for service in chosen for name in project.container_names(service)
    }


def _is_awaited(dependency: Dependency) -> bool:
    return dependency.condition is not Condition.STARTED


def _start_later(
    host: Host, project: Project, chosen: Sequence[ComposeService], turn: dict[str, int]
) -> None:
    """Start the containers that wait, turn by turn."""
    for now in sorted(set(turn.values())):
        names = {name for name in turn if turn[name] == now}
        for service in chosen:
            if not names.isdisjoint(project.container_names(service)):
                _await(host, project, service)
        with host.operation() as transaction:
            for name in turn:
                if name in names:
                    transaction.start(name)


def _await(host: Host, project: Project, service: ComposeService) -> None:
    """Wait for the dependencies of a service.

    Raises:
        Broken: one ended or is not healthy.
    """
    for dependency in service.depends_on:
        other = project.services.get(dependency.service)
        if other is None or not _is_awaited(dependency):
            continue
        is_met = CONDITIONS[dependency.condition]
        for name in project.container_names(other):
            while not is_met(host, host.container(name)):
                time.sleep(PAUSE)


def _is_healthy(host: Host, box: Sandbox) -> bool:
    if not box.health.command:
        raise Broken(
            f"dependency failed to start: container {box.name} has no healthcheck",
            "give its service a healthcheck, or wait for service_started",
        )
    state = host.health([box]).get(box.id, {}).get("Status", "")
    if box.status is Status.EXITED or state == UNHEALTHY:
        what = f"exited ({box.exit_code})" if box.status is Status.EXITED else "is unhealthy"
        raise Broken(
            f"dependency failed to start: container {box.name} {what}", f"plumb logs {box.name}"
        )
    return bool(state == HEALTHY)


def _is_completed(host: Host, box: Sandbox) -> bool:
    if box.status is not Status.EXITED:
        return False
    if box.exit_code:
        raise Broken(
            f"service {labels.label(box, labels.SERVICE)} didn't complete successfully: "
            f"exit {box.exit_code}",
            f"plumb logs {box.name}",
        )
    return True


CONDITIONS: dict[Condition, Callable[[Host, Sandbox], bool]] = {
    Condition.HEALTHY: _is_healthy,
    Condition.COMPLETED: _is_completed,
}
"""Tests of a container for what another waits for; they raise where it will never be so."""
