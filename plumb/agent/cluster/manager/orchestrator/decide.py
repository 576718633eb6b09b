"""Decisions of a moment, all of them: tasks as services ask for them."""

from __future__ import annotations

from collections.abc import Callable

from plumb.agent.cluster.manager.orchestrator import ending, updates
from plumb.agent.cluster.manager.orchestrator.board import Board, Moment
from plumb.agent.cluster.manager.orchestrator.placement import Placement
from plumb.agent.cluster.manager.orchestrator.seats import Seats


def decide(moment: Moment, new_id: Callable[[], str]) -> Board:
    """Decide.

    Args:
        moment: the state of the cluster.
        new_id: draws ids of new tasks.

    Returns:
        The board, with what is to be, and when to look again.
    """
    board = Board(moment, new_id)
    ending.go_on(board)
    for task in list(board.tasks.values()):
        if task.service not in board.services:
            ending.vacate(board, [task])
    placement = Placement(board)
    for service in sorted(moment.services.values(), key=lambda one: (one.created, one.id)):
        seats = Seats(board, placement, service)
        updates.go_on(seats)
        seats.settle()
    return board
