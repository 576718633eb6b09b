"""Faults hidden in a lab: drawn, found by nobody who does nothing, mended, told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from plumb.errors import NotFound
from plumb.lab.faults import puzzle
from plumb.lab.faults.catalogue import FAULTS
from plumb.lab.faults.fault import LEVELS
from plumb.lab.lessons import lesson
from tests import REPOSITORY
from tests.labs import sh
from tests.waiting import until


def plumb(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "plumb", *argv]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


@pytest.fixture
def no_lab() -> Iterator[None]:
    yield
    plumb("lab", "rm", puzzle.LAB)


def test_a_name_is_that_of_one_fault_or_lesson() -> None:
    names = [*(each.name for each in FAULTS), *lesson.names()]
    assert len(names) == len(set(names))
    with pytest.raises(NotFound, match="no fault and no lesson is called 'nosuch'"):
        puzzle.named("nosuch")


def test_a_number_draws_the_same_fault_each_time() -> None:
    assert len({puzzle.drawn(7, None).name for _ in range(3)}) == 1
    assert len({puzzle.drawn(number, None).name for number in range(20)}) > 5


@pytest.mark.parametrize("level", LEVELS)
def test_a_fault_is_drawn_from_its_level(level: int) -> None:
    assert {puzzle.drawn(number, level).level for number in range(5)} == {level}


def test_a_fault_is_hidden_and_mended(no_lab: None) -> None:
    """Doing nothing is no solution; hints tell more and more; the next lab takes its place."""
    before = sh("sysctl net.ipv4.ip_forward; ip -o link; iptables -S")

    hidden = plumb("break", "ip-forward-off")
    assert (hidden.returncode, hidden.stderr) == (0, "")
    assert "ip-forward" not in hidden.stdout, "it tells what it is"
    undone = plumb("solve")
    assert undone.returncode == 1
    assert "not kept: web reaches the internet\n" in undone.stdout
    hints = [plumb("solve", "--hint").stdout for _ in range(4)]
    assert hints[0] == "look at: forwarding\n"
    assert "host, shop, quiet" in hints[1]
    assert hints[2] == hints[3]
    assert "the host does not forward IPv4" in hints[2]
    again = plumb("break", "none")
    assert (again.returncode, again.stdout) == (1, "")
    assert "lab broken is not mended yet" in again.stderr

    shown = plumb("solve", "--show").stdout.splitlines()
    assert shown[-1] == "  sysctl -w net.ipv4.ip_forward=1"
    plumb("lab", "exec", "--lab", "broken", "h1", *shown[-1].split())
    until(lambda: plumb("solve").returncode == 0, "it is mended", 120)
    told = plumb("solve").stdout
    assert "mended\nit was ip-forward-off: ip_forward is 0\n" in told
    assert "docs/doctor.md#ip-forward-off" in told
    assert sh("sysctl net.ipv4.ip_forward; ip -o link; iptables -S") == before


def test_a_lessons_breakage_is_hidden(no_lab: None) -> None:
    """Its goals tell if it is mended; its page has the way."""
    assert plumb("break", "02-user-defined-bridge").returncode == 0
    undone, shown = plumb("solve"), plumb("solve", "--show")
    assert (undone.returncode, undone.stdout[:9]) == (1, "not kept:")
    for line in shown.stdout.splitlines()[1:]:
        plumb("lab", "exec", "--lab", "broken", "h1", "sh", "-c", line)
    until(lambda: plumb("solve").returncode == 0, "it is mended", 120)


def test_without_a_lab_there_is_nothing_to_solve() -> None:
    said = plumb("solve")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "plumb: no lab 'broken' runs; 'plumb break' starts it\n"


def test_the_faults_are_listed() -> None:
    rows = plumb("break", "--list", "--level", "1").stdout.splitlines()
    assert len(rows) == 1 + sum(each.level == 1 for each in FAULTS)
    assert rows[1].split()[:2] == ["ip-forward-off", "1"]
