"""plumb doctor --fix and --undo."""

from __future__ import annotations

import sys
import time

import click

from plumb.cli import common
from plumb.doctor import diagnose, read
from plumb.doctor import fix as fixing
from plumb.doctor.catalogue import CATALOGUE, PAGE
from plumb.engine.targets import TargetResolver
from plumb.errors import Invalid
from plumb.foreign.fields import printable
from plumb.kernel.capabilities import require_root
from plumb.kernel.diagnosis.undo_journal import UndoJournal
from plumb.kernel.process import caller
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.remedy import line
from plumb.model.paths import Layout

SECONDS = 30
"""Time for a program that a remedy has started, until the finding is said to stand."""


def fix(ident: str, yes: bool, force: bool) -> int:
    """Apply the remedy of a finding.

    Returns:
        0 if it is not found any more, 1 if it is.
    """
    _known(ident)
    require_root("change this host")
    with common.opened() as host:
        found = diagnose.diagnose(read.read(host))
        places = {member.place.name: member.place.ns for member in TargetResolver(host).members}
    choices = fixing.chosen(found, ident, force)
    for finding, _ in choices:
        _say(f"{finding.severity}: {finding.subject}")
    for step in fixing.steps(choices):
        where = "" if step.place == "host" else f"   (in the network namespace of {step.place})"
        _say(f"  would run: {step}{where}")
        for argv in step.undo:
            _say(f"  undo:      {line(argv)}")
        if not step.undo:
            _say("  undo:      nothing takes it back")
    _agreed(yes)
    number = fixing.apply(_journal(), choices, places)
    undoable = any(step.undo for step in fixing.steps(choices))
    _say(f"done; 'plumb doctor --undo {number}' takes it back" if undoable else "done")
    if _stands(ident):
        _say(f"{ident} is still found: plumb doctor")
        return 1
    _say(f"{ident} is not found any more")
    return 0


def _known(ident: str) -> None:
    """Refuse what is no finding's name before the host is read.

    Raises:
        Invalid: it is none.
    """
    if not any(ident in check.ids for check in CATALOGUE):
        raise Invalid(
            f"doctor has no finding called {ident}" if ident else "--fix takes a finding's name",
            f"'plumb doctor' names each at its end, as {PAGE}#ip-forward-off",
        )


def undo(number: int, yes: bool) -> int:
    """Take a fix back: 0 for the last one."""
    require_root("change this host")
    entry = fixing.read(_journal(), number)
    _say(f"fix {entry.number} of {entry.finding}: {entry.subject}")
    for argv in fixing.undo_steps(entry):
        _say(f"  would run: {line(argv)}")
    _agreed(yes)
    for said in fixing.take_back(_journal(), entry.number):
        common.tell(said)
    _say(f"fix {entry.number} is taken back")
    return 0


def _say(text: str) -> None:
    """Print a line in which others' names may be."""
    print(printable(text, len(text)))


def _agreed(yes: bool) -> None:
    """Ask on the terminal.

    Raises:
        Invalid: there is none.
        Abort: the answer is no.
    """
    if yes:
        return
    caller.this.require_own_process()  # the terminal is its
    if not sys.stdin.isatty():
        raise Invalid("nobody is there to be asked: no terminal", "--yes does it without asking")
    click.confirm("Do it?", abort=True)


def _journal() -> UndoJournal:
    return UndoJournal(Layout.of().fixes)


def _stands(ident: str) -> bool:
    """True if a finding is still there, after a time for what was started."""
    until = time.monotonic() + SECONDS
    while any(each.id == ident for each in _found()):
        if time.monotonic() >= until:
            return True
        time.sleep(0.1)
    return False


def _found() -> list[Finding]:
    with common.opened() as host:
        return diagnose.diagnose(read.read(host))
