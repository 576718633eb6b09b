"""Finding: all causes, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable

from plumb.trace.causes import by_link, by_nat, by_neighbour, by_route, by_rule, by_size, by_socket
from plumb.trace.causes.case import Case, Cause

FINDERS: tuple[Callable[[Case], Cause | None], ...] = (
    by_neighbour.impostor,
    by_nat.find,
    by_route.astray,
    by_rule.find,
    by_size.find,
    by_socket.find,
    by_link.find,
    by_route.find,
    by_nat.likely,
    by_rule.kernel,
)


def find(case: Case) -> Cause | None:
    """The cause, or None where nothing explains it."""
    if case.end.good:
        return None
    return next((found for finder in FINDERS if (found := finder(case)) is not None), None)


def remarks(case: Case) -> tuple[str, ...]:
    """What is worth knowing though it did not stop this question."""
    return tuple(by_nat.remarks(case))
