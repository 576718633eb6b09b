"""Remedies as values: commands that mend a fault, each with those that take it back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from plumb.frozen import frozen
from plumb.model.observations import HOST

Argv = tuple[str, ...]
PLAIN = frozenset({"!", "{", "}"})
"""Words that a shell takes as they are wherever they are not the first."""


def line(argv: Sequence[str]) -> str:
    """Words as a line for a shell."""
    return " ".join(word if word in PLAIN else shlex.quote(word) for word in argv)


@frozen
class RemedyStep:
    """A command of a remedy.

    Attributes:
        argv: its words.
        undo: the commands that take it back, in their order; none where nothing can.
        place: the name of the namespace that it is run in, "host" or a container's.
    """

    argv: Argv
    undo: tuple[Argv, ...] = ()
    place: str = HOST

    def __str__(self) -> str:
        return line(self.argv)


@frozen
class Remedy:
    """A remedy that plumb can apply itself.

    Attributes:
        steps: its commands, in their order.
        text: the line for a shell, where it is not that of the steps.
    """

    steps: tuple[RemedyStep, ...]
    text: str = ""

    def __str__(self) -> str:
        return self.text or "; ".join(map(str, self.steps))

    @property
    def undoable(self) -> bool:
        """True if each of its steps can be taken back."""
        return all(step.undo for step in self.steps)


Advice = str | Remedy
"""A line that somebody types, or that plumb can type."""


def command(argv: Sequence[str], undo: Sequence[str] = (), place: str = HOST) -> Remedy:
    """A remedy of one command.

    Args:
        argv: its words; undo: those of the command that takes it back.
        place: the name of the namespace that it is run in.
    """
    return Remedy((RemedyStep(tuple(argv), (tuple(undo),) if undo else (), place),))


def joined(parts: Sequence[Remedy]) -> Remedy:
    """A remedy of the steps of several."""
    text = "; ".join(map(str, parts)) if any(part.text for part in parts) else ""
    return Remedy(tuple(step for part in parts for step in part.steps), text)
