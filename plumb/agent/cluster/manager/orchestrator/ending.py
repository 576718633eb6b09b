"""End of tasks: first no new connection comes to them, then they are stopped.

    running ──draining──▶ running, of weight 0 ──drained──▶ desired shutdown ──its node──▶ shutdown

A task that nobody connects to, or that does not run yet, is stopped at once. One whose node is
away is orphaned: its place is another's from then on, and its node ends it when it is back.
"""

from __future__ import annotations

from plumb.agent.cluster.manager.orchestrator.board import Board
from plumb.frozen import replace
from plumb.model.service.task import Task, TaskState

KEPT = 5
"""Tasks that have ended of each place that are kept, as Docker's."""


def end(board: Board, task: Task, message: str = "") -> None:
    """Decide that a task is to end."""
    if task.state.ended or not task.stands:
        return
    if not task.node:
        board.put(_over(board, task, TaskState.SHUTDOWN))
    elif task.state is TaskState.RUNNING and task.places:
        board.put(replace(task, draining=True, message=message or task.message))
    else:
        board.put(replace(task, draining=True, desired=TaskState.SHUTDOWN))


def _over(board: Board, task: Task, state: TaskState, error: str = "") -> Task:
    return replace(
        task,
        state=state,
        desired=TaskState.SHUTDOWN,
        draining=True,
        error=error or task.error,
        since=board.time,
    )


def go_on(board: Board) -> None:
    """Decide what follows for tasks whose end has begun, and for those of nodes that are away."""
    for task in list(board.tasks.values()):
        if task.state.ended:
            continue
        if task.node and not board.up(task.node):
            gone = task.node not in board.nodes
            reason = "its node was removed" if gone else "its node is down"
            board.put(_over(board, task, TaskState.ORPHANED, reason))
        elif (
            task.draining
            and task.desired is TaskState.RUNNING
            and (task.id in board.moment.drained or task.state is not TaskState.RUNNING)
        ):
            board.put(replace(task, desired=TaskState.SHUTDOWN))


def vacate(board: Board, tasks: list[Task]) -> None:
    """Decide that a place has no task any more: what runs ends, what has ended is forgotten."""
    for task in tasks:
        if task.state.ended:
            board.drop(task)
        else:
            end(board, task)


def forget_old(board: Board, tasks: list[Task]) -> None:
    """Forget all but the last tasks of a place that have ended."""
    ended = [task for task in tasks if task.state.ended]
    for task in ended[:-KEPT]:
        board.drop(task)
