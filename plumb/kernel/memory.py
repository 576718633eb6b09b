"""Kernel in memory, on a dict: for tests of logic that need no machine, and to try a plan out.

It is stricter than the kernel: adding what is there is an error, and so is adding what uses
something that is not. What uses a removed thing goes with it, as in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from errno import EEXIST

from plumb.errors import KernelRefused
from plumb.plan import Step, StepFailed
from plumb.things import Key, Thing
from plumb.things.iptables import InChain, by_chain, ordered_rules


class MemoryKernel:
    """Things that exist, by key.

    Args:
        things: what exists from the start.
    """

    def __init__(self, things: Iterable[Thing] = ()) -> None:
        self.things: dict[Key, Thing] = {thing.key: thing for thing in things}

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Present state of things."""
        return [self.things.get(thing.key) for thing in things]

    def take(self, steps: Sequence[Step]) -> None:
        """Take the steps in order."""
        done: list[Step] = []
        for step in steps:
            wrong = self._wrong(step)
            if wrong:
                number = EEXIST if self._is_there(step) else 0
                raise StepFailed(KernelRefused(str(step), number, wrong), step, done)
            if step.after is not None:
                self.things[step.after.key] = step.after
            elif step.before is not None:
                self._remove(step.before)
            done.append(step)

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """Existing ones of these rules, those of each chain in their order there."""
        wanted = {rule.key for rule in rules}
        there = by_chain(
            thing
            for thing in self.things.values()
            if isinstance(thing, InChain) and thing.key in wanted
        )
        return [rule for chain in there for rule in ordered_rules(chain)]

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Present state of things, and the order of the rules among them."""
        return self.look(things), self.order(things)

    def _is_there(self, step: Step) -> bool:
        """Tell whether a step adds what is there."""
        return step.before is None and step.thing.key in self.things

    def _wrong(self, step: Step) -> str:
        if step.after is None:
            return ""
        if self._is_there(step):
            return "it is there already"
        made = {key for thing in self.things.values() for key in thing.makes}
        missing = [key for key in step.after.uses if key not in made]
        return f"{' '.join(missing[0])} is not there" if missing else ""

    def _remove(self, thing: Thing) -> None:
        self.things.pop(thing.key, None)
        gone = set(thing.makes)
        for other in [other for other in self.things.values() if gone.intersection(other.uses)]:
            self._remove(other)
