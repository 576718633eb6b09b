"""Help of each verb: two examples that work, and the page about it; the same in a manual page."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plumb import __version__
from plumb.cli import plumb
from plumb.cli.reference.examples import ENTRIES, entry
from plumb.cli.reference.man_pages import contexts, name, page
from tests import REPOSITORY
from tests.labs import Lab
from tests.waiting import until

ELSEWHERE = (
    "lab",
    "learn",
    "break",
    "solve",
    "swarm",
    "service",
    "node",
    "agent",
    "completion",
    "man",
    "compose",
    "up",
    "down",
    "network import",
)
TRAFFIC = ("probe", "matrix", "trace", "attach")
STORY = [
    verb for verb in ENTRIES if verb and {verb, verb.split()[0]}.isdisjoint((*ELSEWHERE, *TRAFFIC))
]
"""Verbs about one host, in the order of the story that their examples tell."""


@pytest.mark.parametrize("verb", ENTRIES)
def test_examples_of_a_verb_are_command_lines_of_it(verb: str) -> None:
    """Each is parsed as it would be, and carried out by none."""
    for line in entry(verb).examples:
        program, *words = shlex.split(line)
        assert program == "plumb"
        words = words[2:] if words[0] == "--config" else words
        here = click.Context(plumb, info_name="plumb")
        while isinstance(here.command, click.Group):
            given, command, words = here.command.resolve_command(here, words)
            assert command is not None
            if isinstance(command, click.Group):
                here = click.Context(command, parent=here, info_name=given)
            else:
                here = command.make_context(given, words, parent=here)
        assert here.command_path.startswith(f"plumb {verb}".strip())


@pytest.mark.parametrize("context", list(contexts()), ids=name)
def test_help_ends_with_two_examples_and_a_page(context: click.Context) -> None:
    """The page is there."""
    path = context.command_path.partition(" ")[2]
    about = entry(path)
    assert len(about.examples) == 2
    ending = "".join(f"  {line}\n" for line in about.examples)
    assert context.get_help().endswith(f"Examples:\n{ending}\nMore: {about.page}")
    assert (REPOSITORY / about.page).is_file()


def test_help_of_a_verb_by_its_longer_name_ends_the_same(lab: Lab) -> None:
    """Of `container ls`, ps."""
    for verb, words in (("ps", ("container", "ls")), ("run", ("container", "run"))):
        assert entry(verb).examples[1] in lab.plumb(*words, "--help").stdout


def test_no_entry_is_left_over() -> None:
    """Each belongs to a verb."""
    assert set(ENTRIES) == {context.command_path.partition(" ")[2] for context in contexts()}


@pytest.fixture
def host(lab: Lab) -> Iterator[Lab]:
    """A host on which nothing runs in the end."""
    yield lab
    lab.plumb("reset", "--force")


def test_the_examples_about_one_host_work(host: Lab) -> None:
    """One after the other, as they stand in the table."""
    for verb in STORY:
        for line in entry(verb).examples:
            if verb in ("exec", "top", "kill", "stop", "restart", "explain"):
                host.plumb("start", "web", "db")
            if verb == "kill":
                until(lambda: host.plumb("top", "web", status=None).returncode == 0, "web runs")
            host.plumb(*shlex.split(line)[1:])


def test_the_version_is_a_flag_as_well(lab: Lab) -> None:
    """As `docker --version`."""
    for flag in ("--version", "-v"):
        assert lab.plumb(flag).stdout == f"plumb version {__version__}\n"


# -- manual pages --------------------------------------------------------------


def test_man_writes_a_page_for_each_verb(lab: Lab, tmp_path: Path) -> None:
    """Of `container`, those that it has alone."""
    assert lab.plumb("man", str(tmp_path / "man1")).stdout == f"{tmp_path}/man1\n"
    found = {path.name for path in (tmp_path / "man1").iterdir()}
    assert {"plumb.1", "plumb-run.1", "plumb-network-create.1"} <= found
    assert len(found) == len(ENTRIES)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_groff_has_nothing_to_say_of_the_pages() -> None:
    """All pages, with all of its warnings."""
    text = "".join(page(context) for context in contexts())
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    assert "plumb run -d --name web" in ran.stdout


def test_a_page_holds_what_the_help_says() -> None:
    """Flags, verbs of a group, examples and the document."""
    pages = {name(context): page(context) for context in contexts()}
    assert "\\-\\-subnet" in pages["plumb-network-create"]
    assert ".B connect" in pages["plumb-network"]
    assert "docs/bridge.md" in pages["plumb-network"]
    assert pages["plumb"].startswith('.TH PLUMB 1 "" "plumb"')
