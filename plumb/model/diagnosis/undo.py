"""Records of what `doctor --fix` has done, with which it is taken back."""

from __future__ import annotations

from plumb.frozen import frozen
from plumb.model.diagnosis.remedy import RemedyStep


@frozen
class UndoStep:
    """A step of a fix.

    Attributes:
        step: the command, with those that take it back.
        ns: the namespace file that it is run in, "" for the host's.
        inode: of that namespace, 0 for the host's: the file may be another's by now.
    """

    step: RemedyStep
    ns: str = ""
    inode: int = 0


@frozen
class UndoEntry:
    """A fix.

    Attributes:
        number: the name by which `--undo` knows it.
        finding, subject: of the finding that it was for.
        boot: the id of the boot in which it was made: the kernel forgets at the next.
        steps: its commands.
        begun, done: how many were begun, and how many of those ended well. With a kill between
            them, nobody knows of the last one.
    """

    number: int
    finding: str
    subject: str
    boot: str
    steps: tuple[UndoStep, ...]
    begun: int = 0
    done: int = 0
