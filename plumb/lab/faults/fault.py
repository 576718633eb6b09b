"""A fault as a value."""

from __future__ import annotations

from plumb.frozen import frozen
from plumb.model.diagnosis.finding import Grade

LEVELS = (1, 2, 3)
"""A link or an address that `ip` shows; a rule, a route or a setting; what looks like another."""


@frozen
class Fault:
    """A fault.

    Attributes:
        id: the finding of `plumb doctor` that it has.
        inject: a shell line on the scene's host, with the words of `scene.WORDS`.
        remedy: what mends it: the number of one of the finding's remedies, or a shell line.
        after: a shell line that takes away what is left of it then.
        grade: the finding's grade.
        needs: features of the kernel.
        level: how hard it is to find, one of LEVELS.
        also: its name, where another fault has the same finding.
        title: what it is, in words.
    """

    id: str
    inject: str
    remedy: int | str = 0
    after: str = ""
    grade: Grade = Grade.PROVEN
    needs: tuple[str, ...] = ()
    level: int = 2
    also: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """Name by which it is asked for, no other fault's."""
        return self.also or self.id
