"""Rolling updates: tasks of an old specification are replaced, some places at a time.

A place is in the work from the moment its old task is to end until its new one has run for the
update's delay; so many places as the policy says are in the work at a time. New tasks that fail
soon are counted for as long as the update lasts.
"""

from __future__ import annotations

from plumb.agent.cluster.manager.orchestrator import ending
from plumb.agent.cluster.manager.orchestrator.board import RollBack
from plumb.agent.cluster.manager.orchestrator.restarts import FAILED, restart
from plumb.agent.cluster.manager.orchestrator.seats import Seat, Seats
from plumb.agent.cluster.state.service import moments
from plumb.frozen import replace
from plumb.model.service.service import UpdateState, UpdateStatus
from plumb.model.service.spec import FailureAction, Order, UpdatePolicy
from plumb.model.service.task import Task, TaskState

BUILDING = 5.0
"""Seconds that a task may take until it runs, which do not count for the monitored time."""
UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLING_BACK)


class Update:
    """The update of a service that is under way.

    Args:
        seats: the service's places.
    """

    def __init__(self, seats: Seats) -> None:
        self._seats, self._board = seats, seats.board
        self._service = seats.service
        self._tasks = {seat: seats.tasks()[seat] for seat in sorted(seats.wanted)}

    @property
    def _state(self) -> UpdateStatus:
        return self._service.update

    @property
    def _policy(self) -> UpdatePolicy:
        spec = self._service.spec
        back = self._state.state is UpdateState.ROLLING_BACK
        return spec.rollback if back else spec.update

    def go_on(self) -> None:
        """Decide the next step: places to replace next, or the update's end."""
        failed = self._failed()
        too_many = len(failed) > self._policy.failure_ratio * len(self._tasks)
        if failed and too_many and self._policy.failure is not FailureAction.CONTINUE:
            self._give_up(failed[0])
            return
        old = [seat for seat, tasks in self._tasks.items() if self._is_old(tasks)]
        busy = sum(self._is_busy(tasks) for tasks in self._tasks.values())
        limit = self._policy.parallelism or len(self._tasks)
        for seat in old[: max(0, limit - busy)]:
            self._replace(seat)
        if not old and not busy:
            self._finish()

    # -- places -------------------------------------------------------------------------

    def _is_old(self, tasks: list[Task]) -> bool:
        """True of a place whose task is of an old specification, and nothing is done about it."""
        standing = [task for task in tasks if task.stands]
        return bool(standing) and all(task.template != self._seats.template for task in standing)

    def _is_busy(self, tasks: list[Task]) -> bool:
        """True of a place in the work."""
        standing = [task for task in tasks if task.stands]
        new = [task for task in standing if self._is_new(task)]
        if new:
            return not self._has_rested(new[-1])
        if standing:
            return False
        going = any(not task.state.ended for task in tasks)
        return going or not tasks or tasks[-1].template != self._seats.template

    def _is_new(self, task: Task) -> bool:
        return task.template == self._seats.template and task.created >= self._state.started

    def _has_rested(self, task: Task) -> bool:
        """True of a new task that has run for the update's delay."""
        if task.state is not TaskState.RUNNING:
            return False
        return self._past(task, self._policy.delay)

    def _past(self, task: Task, seconds: float) -> bool:
        when = moments.seconds(task.since) + seconds
        self._board.look_at(when)
        return when <= self._board.now

    def _replace(self, seat: Seat) -> None:
        if self._policy.order is Order.START_FIRST:
            self._start_beside(seat)
            return
        for task in self._tasks[seat]:
            ending.end(self._board, task)

    def _start_beside(self, seat: Seat) -> None:
        """Start a new task; the old one ends when that runs. A failed one is repeated later."""
        failed = [task for task in self._tasks[seat] if self._is_new(task) and task.state.ended]
        policy = self._service.spec.restart
        again = restart(policy, failed, self._seats.template, self._board.now)
        if again.when > self._board.now:
            self._board.look_at(again.when)
            return
        self._seats.start(seat, again.restarts)

    # -- the end ------------------------------------------------------------------------

    def _failed(self) -> list[Task]:
        """New tasks that have failed within the monitored time."""
        longest = self._policy.monitor + BUILDING
        return [
            task
            for tasks in self._tasks.values()
            for task in tasks
            if self._is_new(task)
            and task.state in FAILED
            and not task.draining
            and moments.seconds(task.since) - moments.seconds(task.created) <= longest
        ]

    def _finish(self) -> None:
        """End the update when all new tasks have run for the monitored time."""
        new = [task for tasks in self._tasks.values() for task in tasks if self._is_new(task)]
        running = [task for task in new if task.stands]
        if not all(self._past(task, self._policy.monitor) for task in running):
            return
        back = self._state.state is UpdateState.ROLLING_BACK
        self._set(
            UpdateState.ROLLED_BACK if back else UpdateState.COMPLETED,
            "rollback completed" if back else "update completed",
        )

    def _give_up(self, task: Task) -> None:
        """Pause the update, or go back, since too many new tasks have failed."""
        back = self._state.state is UpdateState.ROLLING_BACK
        cause = f"due to failure or early termination of task {task.id}"
        roll_back = self._policy.failure is FailureAction.ROLLBACK
        if roll_back and not back and self._service.previous is not None:
            self._board.rollbacks.append(RollBack(self._service.id, f"update rolled back {cause}"))
            return
        state = UpdateState.ROLLBACK_PAUSED if back else UpdateState.PAUSED
        self._set(state, f"{'rollback' if back else 'update'} paused {cause}")

    def _set(self, state: UpdateState, message: str) -> None:
        over = state in (UpdateState.COMPLETED, UpdateState.ROLLED_BACK)
        status = replace(
            self._state, state=state, message=message, completed=self._board.time if over else ""
        )
        self._board.services[self._service.id] = replace(self._service, update=status)


def go_on(seats: Seats) -> None:
    """Decide the next step of a service's update, if one is under way."""
    if not seats.service.spec.job and seats.service.update.state in UNDER_WAY:
        Update(seats).go_on()
