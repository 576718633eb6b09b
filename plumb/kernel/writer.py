"""Protocol of readers and writers of things: rtnetlink, firewall back ends, the agent, files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plumb.plan import Step
from plumb.things import Thing


class Writer(Protocol):
    """Reads and changes things of some types.

    Attributes:
        name: the means by which it does, another for each writer.
    """

    @property
    def name(self) -> str: ...

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        """Read how these are now, None for one that is not there."""

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        """Take the steps, and append each to `done` once it is taken.

        Raises:
            StepFailed: one was refused.
        """

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        """List those of the rules that are there, those of each chain in the chain's order."""

    def look_and_order(self, things: Sequence[Thing]) -> tuple[list[Thing | None], list[Thing]]:
        """Read what `look` and `order` do, each chain once if the means allow it."""
