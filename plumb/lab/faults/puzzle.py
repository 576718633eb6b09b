"""Puzzles: a fault of the catalogue, or a lesson's breakage, hidden in a lab, to be found.

What is hidden stands in a file of the lab's first host, so it goes with the lab. The lines run on
hosts of the lab that `hide` has started: what network namespaces share, the kernel's modules, is
not theirs, and br_netfilter, which would show all bridges' frames to iptables, has to be there.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from plumb.errors import Conflict, Invalid, NotFound, Unsupported
from plumb.frozen import frozen, replace
from plumb.kernel.net import sysctl
from plumb.kernel.netns.fake_host import OWN_FILES
from plumb.lab import registry
from plumb.lab.faults.catalogue import FAULTS
from plumb.lab.faults.fault import LEVELS, Fault
from plumb.lab.faults.scene import NAME_SERVER, WORDS, scene
from plumb.lab.hosts import end, host
from plumb.lab.lessons import lesson, play
from plumb.lab.lessons.lesson import BREAK, DO, MEND, Lesson, Line, lines
from plumb.lab.registry import Entry

LAB = "broken"
CALL = "net/bridge/bridge-nf-call-iptables"
RECORD = f"{OWN_FILES}/hidden.json"
SHOWS_BY = 60.0
"""Seconds until what was broken shows: programs start, the kernel notices a carrier."""


@frozen
class Puzzle:
    """Puzzle: a fault to be found.

    Attributes:
        name: a fault's, or a lesson's.
        title: what it is, in words.
        lesson: the lab's hosts, and what they promise.
        hide: the lines that break it.
        id: the finding that `plumb doctor` has as long as it is broken; empty where only
            promises tell.
        way: lines that mend it; a number is that of one of the finding's remedies.
    """

    name: str
    title: str
    lesson: Lesson
    hide: tuple[Line, ...]
    id: str
    way: tuple[str | int, ...]


@frozen
class Hidden:
    """A puzzle in a lab.

    Attributes:
        puzzle: what is hidden.
        finding: doctor's finding when it was hidden, as its JSON has it; empty without one.
        hints: how many hints were given.
    """

    puzzle: Puzzle
    finding: dict[str, Any]
    hints: int = 0


def named(name: str) -> Puzzle:
    """The puzzle of that name: a fault's, or a lesson's.

    Raises:
        NotFound: there is none.
    """
    fault = next((each for each in FAULTS if each.name == name), None)
    if fault is not None:
        return _of_fault(fault)
    with suppress(NotFound):
        return _of_lesson(lesson.read(name))
    raise NotFound(
        f"no fault and no lesson is called '{name}'", "'plumb break --list' lists the faults"
    )


def _of_fault(fault: Fault) -> Puzzle:
    hide = (Line("h1", NAME_SERVER), Line("h1", WORDS + fault.inject))
    way = (fault.remedy, *([fault.after] if fault.after else []))
    return Puzzle(fault.name, fault.title, scene(), hide, fault.id, way)


def _of_lesson(page: Lesson) -> Puzzle:
    hide, way = lines(page.sections[BREAK]), lines(page.sections[MEND])
    words = tuple(each.words if each.host == "h1" else f"{each.host}# {each.words}" for each in way)
    return Puzzle(page.name, f"lesson {page.name}: {page.title}", page, hide, "", words)


def drawn(seed: int, level: int | None) -> Fault:
    """Draw a fault: the same for a seed on all hosts, also where the kernel cannot have it."""
    return in_order(seed, level)[0]


def in_order(seed: int, level: int | None) -> list[Fault]:
    """Put the faults of a level into the order in which a seed draws them.

    Args:
        seed: of the draw.
        level: one of LEVELS; None for any.

    Raises:
        Invalid: there is no such level.
    """
    if level is not None and level not in LEVELS:
        raise Invalid(f"there is no level {level}", f"there are {LEVELS[0]} to {LEVELS[-1]}")
    mine = [each for each in FAULTS if level in (None, each.level)]
    draw = random.Random(seed)
    first = draw.choice(mine)
    others = [each for each in mine if each is not first]
    return [first, *draw.sample(others, len(others))]


def drawn_here(seed: int, level: int | None) -> tuple[Fault, list[str]]:
    """Draw the first fault of a seed that this kernel can have.

    Returns:
        It, and what the one before it lacks here: nothing where it is the seed's very first.

    Raises:
        Unsupported: this kernel can have none of that level.
    """
    lacking: list[str] = []
    for each in in_order(seed, level):
        if not (here := missing(each.needs)):
            return each, lacking
        lacking = lacking or here
    raise Unsupported(
        "each fault of that level needs what this kernel has not", "leave out --level"
    )


def drawable(level: int | None) -> int:
    """Choose at random a seed that draws a fault which this kernel can have."""
    seeds = random.sample(range(1000), 1000)
    return next(each for each in seeds if not missing(drawn(each, level).needs))


def missing(needs: Sequence[str]) -> list[str]:
    """The features of some that this kernel lacks; br_netfilter, too, where it is not loaded."""
    from plumb.kernel.features.detect import able

    lacking = [each for each in needs if not able(each).able]
    if "br_netfilter" in needs and sysctl.read(CALL) is None:
        lacking = [*lacking, "br_netfilter"]
    return list(dict.fromkeys(lacking))


def hide(puzzle: Puzzle) -> None:
    """Start a lab, and break something in it.

    A lab whose puzzle is solved ends before that.

    Raises:
        Conflict: a lab of that name runs, and is not mended.
        Unsupported: the kernel lacks a feature that it needs.
    """
    needs = [each for fault in FAULTS if fault.name == puzzle.name for each in fault.needs]
    if lacking := missing((*needs, *puzzle.lesson.needs)):
        raise Unsupported(f"{puzzle.name} needs {', '.join(lacking)}, which this kernel has not")
    _make_room()
    made = play.start(puzzle.lesson, LAB)
    try:
        _break(puzzle, made.entry)
    except BaseException:
        end(made.entry)
        raise


def _make_room() -> None:
    try:
        lab = registry.find(LAB)
    except NotFound:
        return
    if is_broken(lab, read(lab)):
        raise Conflict(
            f"lab {LAB} is not mended yet",
            f"'plumb solve' says what is broken, 'plumb lab rm {LAB}' ends it",
        )
    end(lab)


def _break(puzzle: Puzzle, lab: Entry) -> None:
    for line in lines(puzzle.lesson.sections.get(DO, "")):
        play.typed(lab, line)  # a page may show a command that fails
    for line in puzzle.hide:
        status, said = play.typed(lab, line)
        if status:
            raise Conflict(f"{puzzle.name} cannot be hidden: {said.strip()}")
    deadline = time.monotonic() + SHOWS_BY
    while not (signs := _signs(lab, puzzle)):
        if time.monotonic() > deadline:
            raise Conflict(f"{puzzle.name} was hidden, and nothing shows it")
        time.sleep(0.1)
    write(lab, Hidden(puzzle, signs[0]))


def _signs(lab: Entry, puzzle: Puzzle) -> list[dict[str, Any]]:
    """Signs that a puzzle is hidden: doctor's finding of it, empty where only promises tell."""
    if puzzle.id:
        return [each for each in findings(lab) if each["ID"] == puzzle.id]
    return [{}] if broken(lab, Hidden(puzzle, {})) else []


def write(lab: Entry, hidden: Hidden) -> None:
    """Write down what is hidden in a lab."""
    record = {"name": hidden.puzzle.name, "finding": hidden.finding, "hints": hidden.hints}
    play.put(host(lab, "h1"), RECORD, json.dumps(record))


def find() -> tuple[Entry, Hidden]:
    """The lab in which something is hidden, and what it is.

    Raises:
        NotFound: there is none.
    """
    try:
        lab = registry.find(LAB)
    except NotFound as error:
        raise NotFound(str(error), "'plumb break' starts it") from None
    return lab, read(lab)


def read(lab: Entry) -> Hidden:
    """Read what is hidden in a lab.

    Raises:
        Conflict: nothing is.
    """
    try:
        record = json.loads(Path(host(lab, "h1").init.path(RECORD)).read_text(encoding="utf-8"))
        return Hidden(named(record["name"]), record["finding"], record["hints"])
    except (OSError, ValueError, LookupError, TypeError):
        raise Conflict(
            f"nothing is hidden in lab {lab.name}", f"'plumb lab rm {lab.name}' ends it"
        ) from None


def findings(lab: Entry) -> list[dict[str, Any]]:
    """Find what doctor finds on a lab's first host.

    Raises:
        Conflict: doctor has failed, which is not to find nothing.
    """
    ran = host(lab, "h1").plumb("doctor", "--json", check=False)
    with suppress(ValueError):
        found = [json.loads(line) for line in ran.stdout.splitlines()]
        if ran.returncode in (0, 1, 2) and (found or not ran.returncode):
            return found
    said = ran.stderr.strip() or f"exit status {ran.returncode}"
    raise Conflict(
        f"cannot tell what is broken in lab {lab.name}: plumb doctor failed there: {said}",
        f"'plumb lab exec --lab {lab.name} h1 plumb doctor' shows it",
    )


def broken(lab: Entry, hidden: Hidden) -> list[str]:
    """Try the promises of a lab; those that are not kept, in words."""
    return [each.goal.why for each in play.tried(hidden.puzzle.lesson, lab) if not each.reached]


def shows(lab: Entry, hidden: Hidden) -> bool:
    """True if doctor still finds what was hidden.

    Raises:
        Conflict: doctor cannot tell, since it could not read a part of the host.
    """
    if not hidden.puzzle.id:
        return False
    found = {each["ID"]: each for each in findings(lab)}
    if hidden.puzzle.id not in found and "not-read" in found:
        why = "; ".join(found["not-read"]["Read"])
        raise Conflict(
            f"cannot tell if lab {lab.name} is mended: doctor could not read all of it: {why}",
            "'plumb solve' again looks again",
        )
    return hidden.puzzle.id in found


def is_broken(lab: Entry, hidden: Hidden) -> bool:
    """True if it is not mended: doctor finds it, or a promise is not kept."""
    return shows(lab, hidden) or bool(broken(lab, hidden))


def next_hint(lab: Entry, hidden: Hidden) -> str:
    """Give the next hint, each of which tells more; the last one again at the end."""
    known = hints(hidden)
    write(lab, replace(hidden, hints=min(hidden.hints + 1, len(known))))
    return known[min(hidden.hints, len(known) - 1)]


def hints(hidden: Hidden) -> list[str]:
    """The hints, the faintest first."""
    from plumb.doctor.catalogue import CATALOGUE

    finding = hidden.finding
    if not finding:
        return [
            f"plumb learn {hidden.puzzle.name} has the page of this lab",
            "compare what its section 'Look' shows with what is there now",
            f"{hidden.puzzle.title}: its section 'Break it' is what was done",
        ]
    area = next(check.title for check in CATALOGUE if hidden.puzzle.id in check.ids)
    return [
        f"look at: {area}",
        f"it concerns {', '.join(finding['About'])}",
        f"{finding['Subject']}: {finding['Why']}",
    ]


def way(hidden: Hidden) -> list[str]:
    """The lines that mend what is hidden."""
    return [
        hidden.finding["Remedies"][each] if isinstance(each, int) else each
        for each in hidden.puzzle.way
    ]
