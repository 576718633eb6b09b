"""A lesson on the hosts of a lab: set up, typed, its goals tried."""

from __future__ import annotations

from pathlib import Path

from plumb.errors import Conflict
from plumb.frozen import frozen
from plumb.kernel.netns.fake_host import OWN_FILES
from plumb.lab.hosts import Hosts, LabHost, host
from plumb.lab.lessons.lesson import SET_UP, Lesson, Line, lines
from plumb.lab.registry import Entry

COMPOSE_FILE = f"{OWN_FILES}/compose.yaml"
"""Path of a lesson's compose file on the first host."""


@frozen
class Tried:
    """A goal that was tried.

    Attributes:
        goal: its command line.
        reached: it has succeeded.
    """

    goal: Line
    reached: bool


def start(lesson: Lesson, name: str = "") -> Hosts:
    """Start a lesson's lab, and set it up.

    Args:
        name: for a lab that stays.

    Raises:
        Conflict: a lab of that name runs, or a line of the set-up fails.
    """
    made = Hosts(lesson.hosts, name=name)
    try:
        set_up(lesson, made.entry)
    except BaseException:
        made.close()
        raise
    return made


def set_up(lesson: Lesson, lab: Entry) -> None:
    """Bring the hosts of a lab to where the learner begins.

    Raises:
        Conflict: a command line fails.
    """
    if lesson.compose_file:
        put(host(lab, "h1"), COMPOSE_FILE, lesson.compose_file)
    for line in lines(lesson.sections.get(SET_UP, "")):
        ran, said = typed(lab, line)
        if ran:
            raise Conflict(f"lesson {lesson.name} cannot be set up: {line.words}: {said.strip()}")


def put(where: LabHost, path: str, text: str) -> None:
    """Write a file on a host."""
    Path(where.init.path(path)).write_text(text, encoding="utf-8")


def typed(lab: Entry, line: Line) -> tuple[int, str]:
    """Type a command line on its host; exit status and output, errors among it."""
    ran = host(lab, line.host).run("sh", "-c", f"exec 2>&1; {line.words}", check=False)
    return ran.returncode, ran.stdout


def tried(lesson: Lesson, lab: Entry) -> list[Tried]:
    """Try all goals of a lesson."""
    return [Tried(goal, not typed(lab, goal)[0]) for goal in lesson.goals]
