"""A detached command's log: bounded files, and `logs` that prints them in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.trial_hosts import MARK, end_all, plumb, tried, wait_until
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start

LINES = 3000
COUNT = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; done"


@pytest.fixture
def root(lab: Lab) -> Iterator[Lab]:
    """A lab; in the end nothing of the test's runs."""
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def run(lab: Lab, script: str, *words: str) -> Path:
    """`run -d` of a shell script as the container box; the folder of its log."""
    given = ("run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)
    ident = plumb(lab, *given, "sh", "-c", script).strip()
    return Path(lab.root, "containers", ident)


def ended(lab: Lab) -> None:
    """Wait until the command has ended, and its container with it."""
    wait_until(lambda: "Exited" in plumb(lab, "ps", "-a"), "the command has ended", 60)


def test_logs_prints_output_and_errors(root: Lab) -> None:
    """In the order in which they came, also after the command's end."""
    run(root, "echo one; echo two >&2; echo three")
    ended(root)
    assert plumb(root, "logs", "box") == "one\ntwo\nthree\n"
    assert plumb(root, "logs", "--tail", "1", "box") == "three\n"
    assert plumb(root, "logs", "--tail", "0", "box") == ""


def test_a_log_is_bounded(root: Lab) -> None:
    """A file that is full is followed by another, and the oldest goes; `logs` prints all."""
    folder = run(root, COUNT, "--log-opt", "max-size=1k", "--log-opt", "max-file=3")
    ended(root)
    sizes = {path.name: path.stat().st_size for path in folder.glob("log*")}
    assert set(sizes) == {"log", "log.1", "log.2"}
    assert max(sizes.values()) <= 1024
    printed = plumb(root, "logs", "box")
    assert printed.endswith(f"line {LINES - 1}\nline {LINES}\n")
    assert len(printed) == sum(sizes.values())


def test_a_log_of_one_file_is_emptied(root: Lab) -> None:
    """With max-file=1 there is no older one."""
    folder = run(root, COUNT, "--log-opt", "max-size=1k", "--log-opt", "max-file=1")
    ended(root)
    assert [path.name for path in folder.glob("log*")] == ["log"]
    assert (folder / "log").stat().st_size <= 1024


def test_logs_follows_until_the_end(root: Lab) -> None:
    """Lines that come later, in files that are begun later."""
    script = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i; sleep 0.1; done"
    run(root, script, "--log-opt", "max-size=100", "--log-opt", "max-file=5")
    status, out, errors = said(start(root, "logs", "--follow", "box"))
    assert (status, errors) == (0, "")
    assert out.splitlines() == [f"line {number}" for number in range(1, 21)]


@pytest.mark.parametrize(
    "word", ["max-size=x", "max-size=0", "max-file=0", "maxsize=1", "max-file"]
)
def test_nonsense_is_refused(root: Lab, word: str) -> None:
    """In one line."""
    status, printed = tried(root, "run", "-d", "--log-opt", word, "true")
    assert (status, printed.count("\n")) == (125, 1)
