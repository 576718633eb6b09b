"""Plans: the steps from one state to another, each of which can be undone.

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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from errno import EEXIST
from typing import Protocol

from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.things import HOST, Key, Stage, Thing


@frozen
class Step:
    """Change to one object.

    Attributes:
        before, after: its states.
        taken_back: it is the inverse of a step that was taken, in a rollback.
    """

    before: Thing | None
    after: Thing | None
    taken_back: bool = field(default=False, compare=False)

    @property
    def thing(self) -> Thing:
        """Object that it changes, in the state that is easier to name."""
        thing = self.after or self.before
        assert thing is not None
        return thing

    def undo(self) -> Step:
        """Return the inverse step."""
        return Step(self.after, self.before, taken_back=True)

    def __str__(self) -> str:
        verb = "add" if self.before is None else "remove" if self.after is None else "change"
        return f"{verb} {self.thing}"


TABLES = (Stage.CHAIN, Stage.RULE)
"""Stages of what the firewall's writers put into tables, a table at a time."""


class StepFailed(PlumbError):
    """Step of a plan that failed.

    Attributes:
        step: the one that failed.
        done: the steps that were done, in order; some of those sent together with the failed one
            may stand behind it.
        stuck: errors of steps that could not be undone afterwards.
    """

    def __init__(self, cause: PlumbError, step: Step, done: Sequence[Step]) -> None:
        super().__init__(str(cause), cause.hint)
        self.cause = cause
        self.step = step
        self.done = list(done)
        self.stuck: list[PlumbError] = []

    @property
    def made(self) -> list[Thing]:
        """Things that were added, and the one whose add failed half way.

        An add that was refused because something is there (EEXIST) has made nothing, nor has one
        in a table, which is written whole or not at all.
        """
        made = [step.after for step in self.done if step.before is None and step.after]
        half, number = self.step.after, getattr(self.cause, "errno", 0)
        if half and self.step.before is None and number != EEXIST and half.stage not in TABLES:
            made.append(half)
        return made

    def __str__(self) -> str:
        left = "".join(f"; while taking back: {error}" for error in self.stuck)
        return super().__str__() + left


class Kernel(Protocol):
    """The only access to the machine's configuration.

    `kernel.linux` is the real one, `kernel.memory` a dict.
    """

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read the present state of each thing, None if it does not exist.

        Only fields that plumb sets are compared.
        """

    def take(self, steps: Sequence[Step]) -> None:
        """Carry out steps in order.

        Removing an object that does not exist succeeds; adding one that exists is an error.

        Raises:
            StepFailed: a step failed; `done` lists the others that were done.
        """


def plan(current: Iterable[Thing], desired: Iterable[Thing]) -> list[Step]:
    """List the steps from current to desired.

    Removals backwards first, then changes and additions in order.

    An object that cannot become what is desired (`Thing.replaces`) is removed and added.

    An object that the kernel removes together with another has no step of its own. A permanent
    thing that is not desired stays as it is: to restore it, desire its former state.

    Args:
        current: the present state, or the recorded one.
        desired: the state to reach.
    """
    have = {thing.key: thing for thing in current}
    want = {thing.key: thing for thing in desired}
    replaced = _replaced(have, want)
    surplus = in_order(
        thing
        for key, thing in have.items()
        if key in replaced or (key not in want and not thing.permanent)
    )
    gone = {key: turn for turn, thing in enumerate(surplus) for key in thing.makes}
    removals = [Step(thing, None) for thing in surplus if not _goes_along(thing, gone)]
    kept = {key: thing for key, thing in have.items() if key not in replaced}
    changes = [
        Step(kept.get(thing.key), thing)
        for thing in in_order(want.values())
        if (was := kept.get(thing.key)) is not thing and was != thing
    ]
    return removals[::-1] + changes


def _goes_along(thing: Thing, gone: Mapping[Key, int]) -> bool:
    """True if the kernel removes it together with another object, in time.

    What cannot be removed while it is there, as the chain that a rule jumps to, must not have its
    turn before that other object.

    Args:
        gone: keys of what is removed, the last ones first.
    """
    turns = [gone[key] for key in thing.uses if key in gone]
    return bool(turns) and all(gone[key] <= max(turns) for key in thing.holds if key in gone)


def _replaced(have: Mapping[Key, Thing], want: Mapping[Key, Thing]) -> set[Key]:
    """Find the wanted objects that must be removed and made anew, with all that stands on them."""
    found = {key for key, thing in have.items() if key in want and want[key].replaces(thing)}
    added = found
    while added:
        made = {key for replaced in added for key in have[replaced].makes}
        added = {
            key
            for key, thing in have.items()
            if key in want and key not in found and made.intersection(thing.stands_on)
        }
        found |= added
    return found


def in_order(things: Iterable[Thing]) -> list[Thing]:
    """Sort things into building order.

    The host's by stage, then each namespace's inside in one visit, those from which links lead into
    others first (an overlay network's before its sandboxes'), then proxies and names, then
    processes.

    Within a stage they keep the order that the driver gave them.
    """
    things = list(things)
    visits: dict[str, int] = {}
    for thing in things:
        if thing.where != HOST and _leads_elsewhere(thing):
            visits.setdefault(thing.where, len(visits))

    def turn(thing: Thing) -> tuple[int, int, int]:
        if thing.where == HOST:
            return (2 if thing.stage >= Stage.SERVICE else 0, thing.stage, 0)
        return (1, visits.setdefault(thing.where, len(visits)), thing.stage)

    return sorted(things, key=turn)


def _leads_elsewhere(thing: Thing) -> bool:
    """True if it comes with a link of another namespace, as a veth with its peer."""
    return any(key[0] == "link" and key[1] != thing.where for key in thing.makes)


def carry_out(steps: Sequence[Step], kernel: Kernel) -> None:
    """Carry out all steps, or none: if a step fails, those before it are undone, last first.

    Raises:
        StepFailed: the first failure; its message has the steps that could not be undone either.
    """
    try:
        kernel.take(steps)
    except StepFailed as failure:
        failure.stuck = take_back(failure.done, kernel)
        raise


def take_back(done: Sequence[Step], kernel: Kernel) -> list[PlumbError]:
    """Undo steps, last first; go on after errors and return them."""
    return take_all([step.undo() for step in reversed(done)], kernel)


def take_all(steps: Sequence[Step], kernel: Kernel) -> list[PlumbError]:
    """Carry out the steps that succeed; go on after errors and return them."""
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


def restore(before: Mapping[Key, Thing], made: Sequence[Thing], kernel: Kernel) -> list[PlumbError]:
    """Bring back what went by itself together with something that was taken away.

    What this operation did not make stays: an add that was refused because something is there has
    made nothing. Errors do not stop it.

    Args:
        before: the things concerned as they were.
        made: those that the operation added.
    """
    concerned = [*{**{thing.key: thing for thing in made}, **before}.values()]
    there = [thing for thing in kernel.look(concerned) if thing is not None]
    return take_all(plan(there, before.values()), kernel)


def made_by(things: Mapping[Key, Thing]) -> set[Key]:
    """Return the keys of the objects that the kernel makes along with these things."""
    return {key for thing in things.values() for key in thing.makes}
