"""Tasks as containers of this host: built, ended and removed, many in one operation.

A task's places in networks of the cluster were given to it by the leader; all else is chosen here,
as for any container. Without a network of the cluster it is on the default bridge network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from plumb.engine import containers
from plumb.engine.cluster import attach, configurations
from plumb.engine.cluster.attach import Given
from plumb.engine.host import Host
from plumb.engine.operation import Operation
from plumb.errors import NotFound
from plumb.frozen import frozen
from plumb.model.cluster import Node
from plumb.model.cnm import DEFAULT_NETWORK, Attachment, Endpoint, Sandbox, Status
from plumb.model.lifecycle import CommandOptions, HealthCheck
from plumb.model.net.status import TaskOf
from plumb.model.ports import PortBinding, PublishMode, ServicePort
from plumb.model.service.assignment import Assignment, filled
from plumb.model.service.spec import Health, ServiceSpec
from plumb.model.settings import Settings

HOST = "host"
LABEL = "com.docker.swarm."
LARGEST = 1 << 18
"""Bytes of output that are told at a time, the last ones."""


def here(host: Host) -> list[Sandbox]:
    """List the containers of this host that are tasks."""
    return [box for box in host.store.all(Sandbox) if box.task is not None]


def begin(host: Host, assignments: Sequence[Assignment], node: Node) -> None:
    """Build containers of tasks, and start their commands, as one operation.

    Args:
        assignments: complete ones.
        node: this host as a node.

    Raises:
        PlumbError: one of them cannot be; none is there then.
    """
    with host.change() as op:
        found = [one for each in assignments for one in each.attached]
        for one in {one.network.id: one for one in found}.values():
            attach.materialise(op, one)
        for net in {net.id: net for each in assignments for net in each.own}.values():
            configurations.part(op, net)
        for each in assignments:
            box = containers.create(op, sandbox(each, node, op.settings))
            places = zip(each.task.places, each.attached, strict=True)
            given = {place.network: Given(place.endpoint, found) for place, found in places}
            containers.start(op, box.id, given=given)


def finish(host: Host, over: Iterable[tuple[str, int | None]], gone: Iterable[str]) -> None:
    """Take the networks of containers away whose commands have ended, and remove others.

    Args:
        over: ids of containers that have ended, each with its exit code, None if it was stopped.
        gone: ids of containers that are to be removed.
    """
    with host.change() as op:
        for ident, exit_code in over:
            if op.sandbox(ident) is not None:
                containers.stop(op, ident, exit_code, timeout=0.0)
        for ident in gone:
            if op.sandbox(ident) is not None:
                containers.remove(op, ident, force=True)


def depart(op: Operation) -> None:
    """End and remove all tasks, as this host leaves the cluster."""
    for box in op.all(Sandbox):
        if box.task is not None:
            if box.status is Status.RUNNING:
                containers.stop(op, box.id, timeout=0.0)
            containers.remove(op, box.id)


def ports(host: Host, box: Sandbox) -> tuple[ServicePort, ...]:
    """Ports of mode host that a task has, with the numbers that were chosen here."""
    ends: Iterable[Endpoint] = host.store.endpoints(sandbox=box.id)
    found = {
        ServicePort(port.port, port.host_port, port.protocol, PublishMode.HOST)
        for end in ends
        for port in end.ports
        if port.host_port
    }
    return tuple(sorted(found, key=lambda port: (port.target, port.protocol, port.published)))


def output(host: Host, task: str, tail: int | None, offset: int) -> Output:
    """Read what a task's command has printed.

    Args:
        task: the task's id.
        tail: the last lines alone, None: all that is kept.
        offset: bytes that are known already; then `tail` does not matter.

    Raises:
        NotFound: this host has no container of it.
    """
    from plumb.kernel.process.logs import reading

    box = next((box for box in here(host) if box.task and box.task.task == task), None)
    if box is None:
        raise NotFound(f"task {task} has no container on this node", "it was removed, or not built")
    folder = host.layout.container(box.id)
    runs = bool(reading.writer(folder))
    lines = reading.read(folder, box.log_files)
    text = b"".join(lines)
    new = text[offset:] if offset else b"".join(reading.Span(tail=tail).tailed(lines))
    if len(new) > LARGEST:
        new = new[-LARGEST:].partition(b"\n")[2]
    return Output(new.decode(errors="replace"), len(text), runs)


@frozen
class Output:
    """Output of a task's command.

    Attributes:
        text: lines of its log, in the form of Docker's json-file driver.
        offset: bytes that there are so far; more: True as long as the command runs.
    """

    text: str
    offset: int
    more: bool


def sandbox(assignment: Assignment, node: Node, settings: Settings) -> Sandbox:
    """Container of a task, as it is to be made.

    Args:
        settings: the host's, which tell the usual logging driver.

    Raises:
        Invalid: its host name or a variable has a placeholder that there is not.
    """
    task, spec = assignment.task, assignment.spec
    hostname = filled(spec.hostname, assignment, node)
    return Sandbox(
        "",
        assignment.name,
        attachments=_attachments(assignment),
        hostname=hostname,
        argv=spec.argv,
        environment=tuple(filled(one, assignment, node) for one in spec.environment),
        ports=tuple(_binding(port) for port in spec.ports if port.mode is PublishMode.HOST),
        dns=spec.dns,
        dns_search=spec.dns_search,
        dns_options=spec.dns_options,
        extra_hosts=spec.extra_hosts,
        labels=(*spec.container_labels, *_labels(assignment, node)),
        sysctls=spec.sysctls,
        cap_add=spec.cap_add,
        cap_drop=spec.cap_drop,
        command=CommandOptions(spec.user, spec.working_dir, stop_signal=spec.stop_signal),
        health=_health(spec.health),
        task=TaskOf(task.id, task.service, spec.name, task.slot, node.id, spec.on_ingress),
        **_log(spec, settings),
    )


def _log(spec: ServiceSpec, settings: Settings) -> dict[str, Any]:
    """Fields of a container for its logging driver and the driver's options."""
    usual = settings.log_driver, settings.log_opts
    if not (spec.log_driver or spec.log_options or any(usual)):
        return {}
    from plumb.model.lifecycle import log_drivers  # lazy: most services have neither

    driver = spec.log_driver or ("json-file" if spec.log_options else "")  # as they were checked
    return log_drivers.parsed(driver, spec.log_options, *usual)


def _health(asked: Health) -> HealthCheck:
    if not asked.command:
        return HealthCheck()
    return HealthCheck(
        asked.command,
        interval=asked.interval,
        timeout=asked.timeout,
        retries=asked.retries,
        start_period=asked.start_period,
        start_interval=asked.start_interval,
    )


def _attachments(assignment: Assignment) -> tuple[Attachment, ...]:
    if any(one.network == HOST for one in assignment.spec.networks):
        return (Attachment(HOST),)
    given = [place.network for place in assignment.task.places]
    own = [net.id for net in assignment.own]
    default = [name for one in assignment.spec.networks if (name := one.network) == DEFAULT_NETWORK]
    return (
        *(Attachment(network, aliases=()) for network in (*given, *own)),
        *map(Attachment, default),
    )


def _binding(port: ServicePort) -> PortBinding:
    first = port.published or None
    return PortBinding(port.target, port.protocol, None, first, first)


def _labels(assignment: Assignment, node: Node) -> tuple[tuple[str, str], ...]:
    """Labels by which Docker's containers say which task they are."""
    task = assignment.task
    return (
        (f"{LABEL}node.id", node.id),
        (f"{LABEL}service.id", task.service),
        (f"{LABEL}service.name", assignment.spec.name),
        (f"{LABEL}task", ""),
        (f"{LABEL}task.id", task.id),
        (f"{LABEL}task.name", assignment.name),
    )
