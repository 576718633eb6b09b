"""Progress of a service, as it is displayed until everything is there."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.service.progress import Progress
from plumb.model.service.task import Task, TaskState

BAR = 50
STEPS = (
    TaskState.NEW,
    TaskState.PENDING,
    TaskState.ASSIGNED,
    TaskState.PREPARING,
    TaskState.STARTING,
    TaskState.RUNNING,
)
"""States on the way to a running task, each of which is a part of its bar."""
MOST = 20
"""Tasks that have a line each; of more there is the sum alone."""


def lines(found: Progress) -> Iterator[str]:
    """Yield the sum, and a line for each task."""
    yield f"overall progress: {found.done} out of {found.total} tasks"
    if found.total <= MOST:
        yield from (_line(task, found.total) for task in found.newest)


def _line(task: Task, total: int) -> str:
    name = f"{task.slot}/{total}" if task.slot else task.node[:12]
    return f"{name}: {task.error or f'{task.state.value:<9} {_bar(task.state)}'}"


def _bar(state: TaskState) -> str:
    """The bar of a task: full when it runs, or has completed."""
    part = STEPS.index(state) + 1 if state in STEPS else len(STEPS)
    width = BAR * part // len(STEPS)
    return f"[{'=' * width}>{' ' * (BAR - width)}]"
