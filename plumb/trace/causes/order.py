"""Order: all finders of causes, in the order in which they are called."""

from __future__ import annotations

from collections.abc import Callable

from plumb.trace.causes import (
    by_kernel,
    by_link,
    by_nat,
    by_neighbour,
    by_route,
    by_rule,
    by_service,
    by_size,
    by_socket,
    by_tunnel,
)
from plumb.trace.causes.case import Case, Cause

FINDERS: tuple[Callable[[Case], Cause | None], ...] = (
    by_service.find,
    by_neighbour.wrong_mac,
    by_nat.find,
    by_tunnel.find,
    by_route.wrong_link,
    by_rule.find,
    by_size.find,
    by_socket.find,
    by_kernel.neighbour_table_full,
    by_link.find,
    by_route.find,
    by_nat.likely,
    by_neighbour.set_by_hand,
    by_kernel.drop_reason,
)


def find(case: Case) -> Cause | None:
    """Find the cause; None if no finder explains the story's end."""
    if case.end.good:
        return None
    return next((found for finder in FINDERS if (found := finder(case)) is not None), None)


def remarks(case: Case) -> tuple[str, ...]:
    """Remarks on faults that affect other packets than this one."""
    return tuple(by_nat.remarks(case))
