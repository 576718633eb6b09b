"""Fixes: a finding's remedy applied, and taken back.

Each fix is written down whole before its first command, and each command before it is run: so it
can be taken back after a kill as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from plumb.errors import Broken, Invalid, NotFound, PlumbError, Unsupported
from plumb.frozen import replace
from plumb.kernel.boot import boot_id
from plumb.kernel.diagnosis import remedy_command
from plumb.kernel.diagnosis.remedy_command import CommandFailed
from plumb.kernel.diagnosis.undo_journal import UndoJournal
from plumb.model.diagnosis.finding import Finding, Grade
from plumb.model.diagnosis.remedy import Remedy, RemedyStep
from plumb.model.diagnosis.undo import UndoEntry, UndoStep
from plumb.store import codec

Places = Mapping[str, str]
"""Namespace files by the names of the namespaces."""
Choice = tuple[Finding, Remedy]


def chosen(found: Sequence[Finding], ident: str, force: bool) -> list[Choice]:
    """Choose a remedy for each finding of an id: the first that can be taken back, if one can.

    Args:
        found: what was found.
        ident: the id of those that are to be mended.
        force: also those that are not proven.

    Raises:
        NotFound: nothing of that id was found.
        Invalid: it is not proven, or no remedy is a command.
    """
    mine = [each for each in found if each.id == ident]
    if not mine:
        others = ", ".join(dict.fromkeys(each.id for each in found)) or "nothing"
        raise NotFound(f"doctor does not find {ident}", f"it finds {others}")
    doubtful = next((each for each in mine if each.grade is not Grade.PROVEN), None)
    if doubtful is not None and not force:
        raise Invalid(
            f"{ident} is not proven ({doubtful.grade}): {doubtful.subject}",
            "if that is what you see, 'plumb doctor --fix --force' applies the remedy",
        )
    return [(each, _remedy(each)) for each in mine]


def _remedy(finding: Finding) -> Remedy:
    able = [each for each in finding.remedies if isinstance(each, Remedy)]
    best = next((each for each in able if each.undoable), None) or next(iter(able), None)
    if best is None:
        advice = "; ".join(map(str, finding.remedies))
        raise Invalid(f"doctor cannot mend {finding.id} itself", f"for you to do: {advice}")
    return best


def steps(choices: Sequence[Choice]) -> list[RemedyStep]:
    """The commands of some remedies, each once."""
    return list(dict.fromkeys(step for _, remedy in choices for step in remedy.steps))


def apply(journal: UndoJournal, choices: Sequence[Choice], places: Places) -> int:
    """Run the commands of remedies, in their order; if one fails, take the others back.

    Returns:
        The fix's number.

    Raises:
        PlumbError: a command failed.
    """
    entry = UndoEntry(
        journal.new(),
        choices[0][0].id,
        "; ".join(finding.subject for finding, _ in choices),
        boot_id(),
        tuple(_placed(step, places) for step in steps(choices)),
    )
    _write(journal, entry)
    for number, each in enumerate(entry.steps):
        entry = replace(entry, begun=number + 1)
        _write(journal, entry)
        try:
            remedy_command.run(each.step.argv, each.ns)
        except PlumbError as error:
            if isinstance(error, CommandFailed | Unsupported):  # it has changed nothing
                _write(journal, replace(entry, begun=number))
            try:
                said = take_back(journal, entry.number)
            except PlumbError as again:
                raise PlumbError(
                    f"{error}; and taking back what was done before failed: {again}",
                    f"'plumb doctor --undo {entry.number}' tries it again",
                ) from error
            raise PlumbError(str(error), "; ".join(said) or "nothing else was changed") from error
        entry = replace(entry, done=number + 1)
        _write(journal, entry)
    return entry.number


def _placed(step: RemedyStep, places: Places) -> UndoStep:
    ns = places.get(step.place, "") if step.place != "host" else ""
    if step.place != "host" and not ns:
        raise NotFound(f"the network namespace of {step.place} is not known")
    return UndoStep(step, ns, remedy_command.inode(ns))


def _write(journal: UndoJournal, entry: UndoEntry) -> None:
    journal.write(entry.number, codec.dumps(entry))


def read(journal: UndoJournal, number: int = 0) -> UndoEntry:
    """Read a fix.

    Args:
        number: its number; 0 for the last one.

    Raises:
        NotFound: there is none.
        Broken: the file is none of a fix.
    """
    known = journal.numbers()
    number = number or (known or [0])[-1]
    text = journal.read(number)
    if text is None:
        others = ", ".join(map(str, known)) or "none"
        raise NotFound(
            f"there is no fix {number} to take back" if number else "there is no fix to take back",
            f"there are: {others}",
        )
    try:
        return codec.loads(UndoEntry, text)
    except (ValueError, TypeError, LookupError) as error:
        raise Broken(f"the record of fix {number} is damaged: {error}") from error


def undo_steps(entry: UndoEntry) -> Iterator[tuple[str, ...]]:
    """Yield the commands that take a fix back."""
    for each in reversed(entry.steps[: entry.begun]):
        yield from each.step.undo


def take_back(journal: UndoJournal, number: int = 0) -> list[str]:
    """Take a fix back, its last command first, and forget it.

    Args:
        number: its number; 0 for the last one.

    Returns:
        Sentences on what is not there to be taken back any more.

    Raises:
        PlumbError: a command failed; the fix stays on record, and can be tried again.
    """
    entry = read(journal, number)
    said = []
    if entry.boot != boot_id():
        journal.remove(entry.number)
        return ["the machine was started again since: the kernel has nothing of it"]
    while entry.begun:
        each = entry.steps[entry.begun - 1]
        sure = entry.done >= entry.begun
        # From here on nobody knows if it stands, until it is taken back.
        entry = replace(entry, done=min(entry.done, entry.begun - 1))
        _write(journal, entry)
        if remedy_command.inode(each.ns) != each.inode:
            said.append(f"the network namespace of {each.step.place} is gone, with what was in it")
        elif not each.step.undo and sure:
            said.append(f"nothing takes back '{each.step}'")
        else:
            try:
                _inverse(each, sure)
            except CommandFailed:
                if len(each.step.undo) == 1:  # it has changed nothing, so the step stands
                    _write(journal, replace(entry, done=entry.begun))
                raise
        entry = replace(entry, begun=entry.begun - 1)
        _write(journal, entry)
    journal.remove(entry.number)
    return said


def _inverse(each: UndoStep, sure: bool) -> None:
    """Run the commands that take a step back; one that may not have been taken is none to miss."""
    for argv in each.step.undo:
        try:
            remedy_command.run(argv, each.ns)
        except PlumbError:
            if sure:
                raise
