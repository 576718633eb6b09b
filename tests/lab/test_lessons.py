"""Every lesson is played as its page says, and what comes out is what the page says.

Its goals are reached when it was done, no more when it was broken (whoever does nothing does not
pass), and again when it was mended. `make docs` writes down what comes out now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from plumb.lab.lessons import play
from plumb.lab.lessons.lesson import (
    BREAK,
    DO,
    FENCE,
    FOLDER,
    LOOK,
    MEND,
    PROMPT,
    SECTIONS,
    Lesson,
    Line,
    every,
    names,
    read,
)
from plumb.lab.registry import Entry
from tests import REPOSITORY
from tests.test_docs import alike
from tests.waiting import DEADLINE

LESSONS = [
    pytest.param(each, id=each.name, marks=[pytest.mark.needs(*each.needs)] if each.needs else [])
    for each in every()
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_done_broken_and_mended(lesson: Lesson) -> None:
    page = (FOLDER / f"{lesson.name}.md").read_text()
    with play.start(lesson) as hosts:
        lab = hosts.entry
        if lesson.exercise:
            assert not reached(lesson, lab), "its goals are reached by doing nothing"
        page = play_section(page, lab, DO)
        until(lesson, lab, all)
        page = play_section(page, lab, LOOK)
        page = play_section(page, lab, BREAK)
        until(lesson, lab, lambda reached: not all(reached))
        page = play_section(page, lab, MEND)
        until(lesson, lab, all)
    if os.environ.get("PLUMB_UPDATE_DOCS"):
        (FOLDER / f"{lesson.name}.md").write_text(page)

    assert alike((FOLDER / f"{lesson.name}.md").read_text()) == alike(page)


def reached(lesson: Lesson, lab: Entry) -> bool:
    return all(each.reached for each in play.tried(lesson, lab))


def until(lesson: Lesson, lab: Entry, good: Callable[[list[bool]], bool]) -> None:
    """Try the goals until they are as they should be: programs start, services converge."""
    deadline = time.monotonic() + DEADLINE
    while True:
        last = play.tried(lesson, lab)
        if good([each.reached for each in last]):
            return
        assert time.monotonic() < deadline, last
        time.sleep(0.1)


def play_section(page: str, lab: Entry, title: str) -> str:
    """Type the command lines of a section; the page with what came out."""
    found = re.search(rf"(?<=^## {title}\n).*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    if not found:
        return page
    section = FENCE.sub(lambda fence: f"```console\n{play_fence(fence[2], lab)}```", found[0])
    return page[: found.start()] + section + page[found.end() :]


def play_fence(text: str, lab: Entry) -> str:
    out = ""
    for line in filter(None, map(PROMPT.fullmatch, text.splitlines())):
        said = play.typed(lab, Line(line[1] or "h1", line[2]))[1]
        out += f"{line[0]}\n{said}"
    return out


@pytest.mark.parametrize("lesson", every(), ids=names())
def test_a_page_has_all_sections_in_their_order(lesson: Lesson) -> None:
    optional = {"Set up", "Do it", "Look"}
    had = list(lesson.sections)
    assert had == [title for title in SECTIONS if title in had]
    assert set(SECTIONS) - set(had) <= optional
    assert lesson.goals


def test_every_page_is_listed() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(names())


def test_the_courses_exercises_are_there() -> None:
    titles = [read(name).title for name in names() if re.match(r"0[1-6]-|project", name)]
    assert [title.partition(":")[0] for title in titles] == [
        *(f"Exercise 0{number}" for number in range(1, 7)),
        "Project",
    ]


def test_a_lesson_by_the_command_line() -> None:
    """Its lab stays, and what is not done yet is said."""
    name = "01-default-bridge"

    def plumb(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "plumb", *argv]
        return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)

    assert f"plumb lab shell --lab {name}" in plumb("lab", "run", name).stdout
    try:
        undone = plumb("learn", "--check", name)
        plumb("lab", "exec", "--lab", name, "h1", "plumb", "run", "-d", "--name", "c1")
        done = plumb("learn", "--check", name)
    finally:
        plumb("lab", "rm", name)
    assert (undone.returncode, undone.stdout) == (1, "no  c1 is on the default network\n")
    assert (done.returncode, done.stdout) == (0, "yes c1 is on the default network\n")
    assert read(name).title in plumb("learn").stdout
    assert "## Do it" in plumb("learn", name).stdout
