"""A lesson's page as values.

    ---
    title: A network of one's own
    minutes: 15
    hosts: 2
    ---
    ## Set up           run by `plumb lab run`
    ## Do it            the learner's; what follows is as well
    ## Goals            a fence of command lines that succeed when all is well

A command line stands in a fence `console` or `goals` behind the prompt of its host: `# ` is h1's,
`h2# ` another one's. A fence `yaml` is the compose file that the command lines name.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from plumb.errors import Invalid, NotFound
from plumb.frozen import frozen

FOLDER = Path(__file__).parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(h\d+)?# (.*)")
SET_UP, DO, LOOK, BREAK, MEND, GOALS = (
    *("Set up", "Do it", "Look", "Break it", "Mend it"),
    "Goals",
)
SECTIONS = ("You will see", SET_UP, DO, LOOK, BREAK, MEND, "Questions", GOALS)
"""Sections of a page, in their order; "Set up", "Do it" and "Look" may be missing."""


@frozen
class Line:
    """A command line of a page.

    Attributes:
        host: name of its host.
        words: the line, for a shell.
        why: what a goal says of it.
    """

    host: str
    words: str
    why: str = ""


@frozen
class Lesson:
    """A lesson.

    Attributes:
        name: that of its file.
        title: what it is about.
        minutes: how long it takes a learner.
        hosts: number of the lab's hosts.
        needs: features of the kernel (`plumb env`) that it takes.
        exercise: its goals are reached by "Do it" alone.
        text: the page without its head.
    """

    name: str
    title: str
    minutes: int
    hosts: int
    needs: tuple[str, ...]
    exercise: bool
    text: str

    @property
    def sections(self) -> dict[str, str]:
        """The page's sections: title and text."""
        parts = re.split(r"^## (.+)\n", self.text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    @property
    def compose_file(self) -> str:
        """Text of the fence `yaml`, empty without one."""
        return next((text for kind, text in FENCE.findall(self.text) if kind == "yaml"), "")

    @property
    def goals(self) -> tuple[Line, ...]:
        """Command lines that succeed when all is well."""
        return tuple(
            Line(line.host, words.strip(), why.strip())
            for line in lines(self.sections[GOALS])
            for words, _, why in [line.words.partition(" ## ")]
        )


def lines(text: str) -> tuple[Line, ...]:
    """The command lines in a text's fences, in their order."""
    fences = (body for kind, body in FENCE.findall(text) if kind in ("console", "goals"))
    return tuple(
        Line(found[1] or "h1", found[2])
        for body in fences
        for found in map(PROMPT.fullmatch, body.splitlines())
        if found
    )


def read(name: str) -> Lesson:
    """The lesson of that name.

    Raises:
        NotFound: there is none.
    """
    if name not in names():
        raise NotFound(f"no lesson is called '{name}'", "'plumb learn' lists those that there are")
    return parse(name, (FOLDER / f"{name}.md").read_text(encoding="utf-8"))


def parse(name: str, page: str) -> Lesson:
    """A lesson's page.

    Raises:
        Invalid: its head is not complete.
    """
    _, head, text = page.split("---\n", 2)
    said = dict(line.split(": ", 1) for line in head.splitlines())
    try:
        return Lesson(
            name,
            said["title"],
            int(said["minutes"]),
            int(said["hosts"]),
            tuple(said.get("needs", "").split()),
            said.get("exercise") == "yes",
            text.strip() + "\n",
        )
    except KeyError as error:
        raise Invalid(f"the page of lesson {name} does not say its {error.args[0]}") from None


@cache
def names() -> tuple[str, ...]:
    """Names of all lessons, in the order in which one would take them."""
    listed = (FOLDER / "order.txt").read_text(encoding="utf-8").split()
    return tuple(listed)


def every() -> list[Lesson]:
    """Read all lessons, in their order."""
    return [read(name) for name in names()]
