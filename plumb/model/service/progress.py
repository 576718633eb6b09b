"""Progress of a service towards what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.frozen import frozen
from plumb.model.service.service import Service, UpdateState
from plumb.model.service.task import Task, TaskState

UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLING_BACK)


@frozen
class Progress:
    """Progress of a service.

    Attributes:
        done: tasks that are as asked for; total: of how many.
        newest: the youngest task of each slot, or of each node, that is wanted.
        converged: everything is as asked for.
        failure: reason for which it will not be; empty while it may.
    """

    done: int
    total: int
    newest: tuple[Task, ...] = ()
    converged: bool = False
    failure: str = ""


def progress(service: Service, tasks: Sequence[Task]) -> Progress:
    """Progress of a service from its tasks.

    Args:
        tasks: the service's, the ended ones too.
    """
    newest = _newest(tasks)
    end = TaskState.COMPLETE if service.spec.job else TaskState.RUNNING
    done = sum(task.state is end for task in newest)
    total = len(newest) if service.spec.everywhere else service.spec.replicas
    settled = service.update.state not in UNDER_WAY
    known = len(newest) == total and (total > 0 or not service.spec.everywhere)
    return Progress(
        done, total, tuple(newest), settled and known and done == total, _failure(service)
    )


def _newest(tasks: Sequence[Task]) -> list[Task]:
    """The youngest task of each slot, or of each node, that is wanted."""
    found: dict[tuple[int, str], Task] = {}
    for task in sorted(tasks, key=lambda task: task.created):
        place = (task.slot, "" if task.slot else task.node)
        if task.desired is TaskState.RUNNING or task.state is TaskState.COMPLETE:
            found[place] = task
    return [found[place] for place in sorted(found)]


def _failure(service: Service) -> str:
    match service.update.state:
        case UpdateState.PAUSED:
            return f"service update paused: {service.update.message}"
        case UpdateState.ROLLBACK_PAUSED:
            return f"service rollback paused: {service.update.message}"
        case _:
            return ""
