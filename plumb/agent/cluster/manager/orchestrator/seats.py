"""Places of a service, each with one task at a time: slots 1, 2, …, or nodes of a global service.

A place has the tasks that were there before as well; the last one says when the next one may come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from plumb.agent.cluster.manager.orchestrator import ending
from plumb.agent.cluster.manager.orchestrator.board import Board
from plumb.agent.cluster.manager.orchestrator.placement import Placement
from plumb.agent.cluster.manager.orchestrator.restarts import restart
from plumb.frozen import replace
from plumb.model.service.service import Service
from plumb.model.service.task import Task, TaskState

Seat = tuple[int, str]
"""Slot and node: (3, "") of a replicated service, (0, "NODE") of a global one."""


class Seats:
    """Places of one service.

    Args:
        board, placement: what is decided so far.
        service: the service.
    """

    def __init__(self, board: Board, placement: Placement, service: Service) -> None:
        self.board, self.placement, self.service = board, placement, service
        self.template = board.template(service.id)
        self.wanted = frozenset(wanted(board, service))

    def tasks(self) -> Mapping[Seat, list[Task]]:
        """Tasks by their places, the oldest first; an empty list for an empty place."""
        found: dict[Seat, list[Task]] = defaultdict(list, {seat: [] for seat in self.wanted})
        everywhere = self.service.spec.everywhere
        for task in self.board.of(self.service.id):
            found[(0, task.node) if everywhere else (task.slot, "")].append(task)
        return found

    def settle(self) -> None:
        """Decide for each place: a task that has to go, one that has to come."""
        room = self._room()
        for seat, tasks in sorted(self.tasks().items()):
            if seat not in self.wanted and not self._is_paused(seat):
                ending.vacate(self.board, tasks)
                continue
            self._move(tasks)
            if seat in self.wanted and room > 0 and self._fill(seat, self._now(tasks)):
                room -= 1
            ending.forget_old(self.board, tasks)

    def _now(self, tasks: list[Task]) -> list[Task]:
        """Tasks as they are to be after the last decisions."""
        known = self.board.tasks
        return [known[task.id] for task in tasks if task.id in known]

    def _is_paused(self, seat: Seat) -> bool:
        """True for a node that is to get no new task, and may go on with the one that it has."""
        return bool(seat[1]) and self.board.keeps(self.service, seat[1])

    def _room(self) -> int:
        """Number of tasks that may be started now: a job has a limit."""
        spec = self.service.spec
        if not spec.job or not spec.concurrent:
            return len(self.wanted)
        running = sum(task.stands for task in self.board.of(self.service.id))
        return spec.concurrent - running

    def _move(self, tasks: list[Task]) -> None:
        """End what stands where it may not be any more, and the old one beside a new one."""
        standing = [task for task in tasks if task.stands]
        for task in standing:
            if self._must_go(task):
                ending.end(self.board, task)
        for old, new in pairwise(standing):
            if new.state is TaskState.RUNNING and new.healthy:
                ending.end(self.board, old)

    def _must_go(self, task: Task) -> bool:
        """True of a task on a node that may not have it any more, and of a job that has changed."""
        if task.node and not self.board.keeps(self.service, task.node):
            return True
        return self.service.spec.job and task.template != self.template

    def _fill(self, seat: Seat, tasks: list[Task]) -> bool:
        """Give a place a task if it has none, and may have one; True if it gets one."""
        standing = [task for task in tasks if task.stands]
        if standing:
            for task in standing:
                self._place(task)
            return False
        if any(not task.state.ended for task in tasks) or self.is_done(tasks):
            return False  # the one before has to end first
        spec, board = self.service.spec, self.board
        again = restart(spec.restart, tasks, self.template, board.now)
        if again.when > board.now:
            board.look_at(again.when)
            return False
        self.start(seat, again.restarts)
        return True

    def is_done(self, tasks: list[Task]) -> bool:
        """True of a job's place whose task has run to its end."""
        return self.service.spec.job and any(
            task.state is TaskState.COMPLETE and task.template == self.template for task in tasks
        )

    def start(self, seat: Seat, restarts: tuple[float, ...] = ()) -> None:
        """Decide that a place gets a new task."""
        slot, node = seat
        task = Task(
            self.board.new_id(),
            self.service.id,
            self.service.version,
            slot,
            template=self.template,
            state=TaskState.PENDING,
            restarts=restarts,
            created=self.board.time,
            since=self.board.time,
        )
        if node:
            self._give(task, node)
        else:
            self._place(task)

    def _place(self, task: Task) -> None:
        """Choose a node for a task that has none."""
        if task.node:
            return
        node = self.placement.choose(self.service)
        if node is not None:
            self._give(task, node.id)
            return
        reason = self.placement.refusal(self.service)
        self.board.put(replace(task, error=reason, message="pending task scheduling"))

    def _give(self, task: Task, node: str) -> None:
        given = replace(
            task,
            node=node,
            state=TaskState.ASSIGNED,
            message="scheduler assigned task to node",
            error="",
            since=self.board.time,
        )
        self.board.put(given)
        self.placement.add(given)


def wanted(board: Board, service: Service) -> Iterable[Seat]:
    """Places that a service is to have tasks in."""
    spec = service.spec
    if not spec.everywhere:
        return ((slot, "") for slot in range(1, spec.replicas + 1))
    return ((0, node.id) for node in board.nodes.values() if board.takes(service, node))
