"""State of a task by what its container is, and by what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable

from plumb.kernel.process import commands, health_file
from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import health as lifecycle
from plumb.model.ports import PublishMode, ServicePort
from plumb.model.service.assignment import Assignment, TaskStatus
from plumb.model.service.task import TaskState

UNKNOWN = 137
"""Exit code of a command that nobody saw end, as of one that was killed."""


def exit_code(box: Sandbox, folder: str) -> int | None:
    """Exit code of a container's command, None while it runs."""
    if box.status is not Status.RUNNING:
        return box.exit_code
    if not box.argv or commands.alive(folder)[0]:
        return None
    code = commands.exit_code(folder)
    if code is None:
        return None if commands.alive(folder)[1] else UNKNOWN  # its shim is writing it down
    return code


def running(box: Sandbox, ports: tuple[ServicePort, ...], healthy: str) -> TaskStatus:
    """Report about a task whose command runs, and that may not be healthy yet, or no more.

    Args:
        healthy: its health, as `health` reads it.
    """
    assert box.task
    starts = healthy == lifecycle.STARTING
    return TaskStatus(
        box.task.task,
        TaskState.STARTING if starts else TaskState.RUNNING,
        "starting" if starts else "started",
        container=box.id,
        healthy=healthy != lifecycle.UNHEALTHY,
        ports=ports,
    )


def health(box: Sandbox, folder: str) -> str:
    """Health of a container, in Docker's words; "healthy" where nobody checks it."""
    if not box.health.command:
        return lifecycle.HEALTHY
    found = health_file.read(folder)
    return str(found["Status"]) if found else lifecycle.STARTING


def ended(box: Sandbox, code: int, assignment: Assignment | None, unhealthy: bool) -> TaskStatus:
    """Report about a task whose command has ended: on demand, well, or with an error.

    Args:
        unhealthy: it was ended here for its health check had failed.
    """
    assert box.task
    ident = box.task.task
    asked = assignment is None or assignment.task.desired is not TaskState.RUNNING
    if asked:
        return TaskStatus(ident, TaskState.SHUTDOWN, "shutdown", "", box.id, code)
    if code == 0 and not unhealthy:
        return TaskStatus(ident, TaskState.COMPLETE, "finished", "", box.id, code)
    error = f"task: non-zero exit ({code}){': unhealthy container' if unhealthy else ''}"
    return TaskStatus(ident, TaskState.FAILED, "started", error, box.id, code)


def host_ports(ports: Iterable[ServicePort]) -> set[tuple[str, int]]:
    """Protocol and number of ports that are taken on a task's own host."""
    return {
        (port.protocol, port.published)
        for port in ports
        if port.mode is PublishMode.HOST and port.published
    }


def is_recorded(status: TaskStatus, assignment: Assignment) -> bool:
    """True if the managers have taken a report down already."""
    task = assignment.task
    if task.state.ended:
        return True
    return (
        task.state is status.state
        and task.healthy == status.healthy
        and task.error == status.error
        and task.container == (status.container or task.container)
        and task.ports == (status.ports or task.ports)
    )
