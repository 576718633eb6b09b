"""Lines of `service ls`, `service ps` and `node ps`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from plumb.model.cluster import Node
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.service import Service
from plumb.model.service.spec import ServiceMode
from plumb.model.service.task import Task, TaskState

Row = dict[str, object]
SERVICES = {
    "ID": "ID",
    "Name": "NAME",
    "Mode": "MODE",
    "Replicas": "REPLICAS",
    "Command": "COMMAND",
    "Ports": "PORTS",
}
TASKS = {
    "ID": "ID",
    "Name": "NAME",
    "Command": "COMMAND",
    "Node": "NODE",
    "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE",
    "Error": "ERROR",
    "Ports": "PORTS",
}
SHOWN_COMMAND, SHOWN_ERROR = 30, 30
UNITS = ((86400 * 365, "years"), (86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
ROUND = {"hours": "About an hour", "minutes": "About a minute", "seconds": "1 second"}


def service(found: Service, tasks: Sequence[Task], nodes: Sequence[Node], short: bool) -> Row:
    """A line of `service ls`.

    Args:
        tasks: the service's, the ended ones too.
        nodes: those of the swarm; a task on one that is down does not count.
        short: cut the id and the command to what people read.
    """
    return {
        "ID": found.id[:12] if short else found.id,
        "Name": found.spec.name,
        "Mode": mode(found.spec.mode),
        "Replicas": replicas(found, tasks, nodes),
        "Image": "",
        "Command": command(found, short),
        "Ports": ", ".join(f"*:{_port(port)}" for port in found.spec.on_ingress),
    }


def mode(found: ServiceMode) -> str:
    """A mode in Docker's words."""
    return found.value.replace("-", " ")


def command(found: Service, short: bool) -> str:
    """A service's command in quotes, as `plumb ps` has it; empty without one."""
    text = shlex.join(found.spec.argv)
    if short and len(text) > SHOWN_COMMAND:
        text = text[: SHOWN_COMMAND - 1] + "…"
    return f'"{text}"' if text else ""


def replicas(found: Service, tasks: Sequence[Task], nodes: Sequence[Node]) -> str:
    """Running tasks of those wanted, "2/3"; of a job with those that have completed."""
    up = {node.id for node in nodes if node.alive}
    wanted = [task for task in tasks if task.desired is TaskState.RUNNING]
    running = sum(task.state is TaskState.RUNNING and task.node in up for task in tasks)
    if found.spec.job:
        total = len(wanted) if found.spec.everywhere else found.spec.replicas
        at_once = total if found.spec.everywhere else found.spec.concurrent or total
        done = sum(task.state is TaskState.COMPLETE for task in tasks)
        return f"{running}/{at_once} ({done}/{total} completed)"
    return f"{running}/{len(wanted) if found.spec.everywhere else found.spec.replicas}"


def _port(port: ServicePort) -> str:
    return f"{port.published}->{port.target}/{port.protocol}"


def tasks(
    found: Iterable[Task],
    services: Mapping[str, Service],
    nodes: Mapping[str, Node],
    *,
    short: bool = True,
    resolve: bool = True,
    now: datetime | None = None,
) -> list[Row]:
    """Lines of `service ps`: by service and slot, the youngest task of a slot first.

    Args:
        services, nodes: by id.
        short: cut ids, commands and errors to what people read.
        resolve: names of services and nodes in place of their ids.
        now: the present; None: the clock's.
    """
    moment = now or datetime.now(UTC)
    rows: list[Row] = []
    before = ""
    for task in _in_order(found, services):
        owner = services.get(task.service)
        name = _name(task, owner, nodes, resolve)
        rows.append(
            {
                "ID": task.id[:12] if short else task.id,
                "Name": rf" \_ {name}" if name == before else name,
                "Image": "",
                "Command": command(owner, short) if owner else "",
                "Node": nodes[task.node].hostname if resolve and task.node in nodes else task.node,
                "DesiredState": task.desired.value.capitalize(),
                "CurrentState": f"{task.state.value.capitalize()} {ago(task.since, moment)}",
                "Error": _error(task.error, short),
                "Ports": ",".join(
                    f"*:{_port(port)}" for port in task.ports if port.mode is PublishMode.HOST
                ),
            }
        )
        before = name
    return rows


def _in_order(found: Iterable[Task], services: Mapping[str, Service]) -> list[Task]:
    youngest = sorted(found, key=lambda task: task.created, reverse=True)

    def place(task: Task) -> tuple[str, int, str]:
        owner = services.get(task.service)
        return (
            owner.spec.name if owner else task.service,
            task.slot,
            task.node if not task.slot else "",
        )

    return sorted(youngest, key=place)


def _name(task: Task, owner: Service | None, nodes: Mapping[str, Node], resolve: bool) -> str:
    """Name of a task: "web.1", of a global service "web.NODE"."""
    if owner is None or not resolve:
        return f"{task.service}.{task.slot or task.node}"
    return f"{owner.spec.name}.{task.slot or task.node}"


def _error(text: str, short: bool) -> str:
    if not text:
        return ""
    return f'"{text[: SHOWN_ERROR - 1]}…"' if short and len(text) > SHOWN_ERROR else f'"{text}"'


def ago(since: str, now: datetime) -> str:
    """Time since a moment as Docker says it: "3 seconds ago", "About an hour ago"."""
    if not since:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for length, unit in UNITS:
        number = seconds // length
        if number == 1 and unit in ROUND:
            return f"{ROUND[unit]} ago"
        if number:
            return f"{number} {unit if number > 1 else unit[:-1]} ago"
    return "less than a second ago"
