"""Plans: what it takes to come from one state to another, as steps that can all be taken back.

A step is a thing before and a thing after. Nothing before means add, nothing after means remove,
both mean change in place. Its inverse is the step with the two swapped; there is no other inverse
to write, anywhere.

    apply      plan(current, desired), carried out
    dry run    the same, not carried out
    teardown   plan(current, [])
    rollback   the steps taken, last first, each undone
    repair     plan(look(recorded and desired), desired)
    check      is that plan empty?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from plumb.errors import PlumbError
from plumb.things import HOST, Stage, Thing


@dataclass(frozen=True)
class Step:
    """One change to one object."""

    before: Thing | None
    after: Thing | None

    @property
    def thing(self) -> Thing:
        """The object it is about, in the state that is easier to name."""
        thing = self.after or self.before
        assert thing is not None
        return thing

    def undo(self) -> Step:
        """The step back."""
        return Step(self.after, self.before)

    def __str__(self) -> str:
        verb = "add" if self.before is None else "remove" if self.after is None else "change"
        return f"{verb} {self.thing}"


class StepFailed(PlumbError):
    """A step of a plan could not be taken.

    Attributes:
        step: the one that failed.
        done: the steps that were taken, in order; of those sent together with it some may stand
        behind it.
        stuck: what could not be taken back afterwards.
    """

    def __init__(self, cause: PlumbError, step: Step, done: Sequence[Step]) -> None:
        super().__init__(str(cause), cause.hint)
        self.cause = cause
        self.step = step
        self.done = list(done)
        self.stuck: list[PlumbError] = []

    def __str__(self) -> str:
        left = "".join(f"; while taking back: {error}" for error in self.stuck)
        return super().__str__() + left


class Kernel(Protocol):
    """The one door to the machine.

    `kernel.linux` is the real one, `kernel.memory` keeps it all in a dict.
    """

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """How each of these is now, None where it is not there.

        Only fields that plumb sets are compared.
        """

    def take(self, steps: Sequence[Step]) -> None:
        """Take the steps in order.

        What is gone already counts as removed; what is there already is an error.

        Raises:
            StepFailed: one could not be taken; `done` says which were.
        """


def plan(current: Iterable[Thing], desired: Iterable[Thing]) -> list[Step]:
    """The steps from current to desired.

    Removals backwards first, then changes and additions in order.

    What the kernel drops together with something else that goes has no step of its own. A standing
    thing that is not desired stays as it is: to put it back, desire the state that it had.

    Args:
        current: what there is now, or what is recorded to be.
        desired: what there shall be.
    """
    have = {thing.key: thing for thing in current}
    want = {thing.key: thing for thing in desired}
    surplus = in_order(
        thing for key, thing in have.items() if key not in want and not thing.standing
    )
    gone = {key for thing in surplus for key in thing.makes}
    removals = [Step(thing, None) for thing in surplus if not gone.intersection(thing.uses)]
    changes = [
        Step(have.get(thing.key), thing)
        for thing in in_order(want.values())
        if have.get(thing.key) != thing
    ]
    return removals[::-1] + changes


def in_order(things: Iterable[Thing]) -> list[Thing]:
    """Things in building order.

    The host's by stage, then each sandbox's inside in one visit, then who answers, then processes.

    Within a stage the order in which they were narrated is kept.
    """
    visits: dict[str, int] = {}

    def turn(thing: Thing) -> tuple[int, int, int]:
        if thing.where == HOST:
            return (2 if thing.stage >= Stage.SERVICE else 0, thing.stage, 0)
        return (1, visits.setdefault(thing.where, len(visits)), thing.stage)

    return sorted(things, key=turn)


def carry_out(steps: Sequence[Step], kernel: Kernel) -> None:
    """Take all the steps, or none: a step that fails takes back those before it, last first.

    Raises:
        StepFailed: the first failure; what could not be taken back either is in its message.
    """
    try:
        kernel.take(steps)
    except StepFailed as failure:
        failure.stuck = take_back(failure.done, kernel)
        raise


def take_back(done: Sequence[Step], kernel: Kernel) -> list[PlumbError]:
    """Undo steps, last first; go on past errors and return them."""
    return take_all([step.undo() for step in reversed(done)], kernel)


def take_all(steps: Sequence[Step], kernel: Kernel) -> list[PlumbError]:
    """Take what steps can be taken; go on past errors and return them."""
    left = list(steps)
    errors: list[PlumbError] = []
    while left:
        try:
            kernel.take(left)
            break
        except StepFailed as failure:
            errors.append(failure)
            over = {failure.step, *failure.done}
            left = [step for step in left if step not in over]
    return errors
