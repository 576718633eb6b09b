"""Faults hidden in a lab: drawn, found by nobody who does nothing, mended, told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from plumb.errors import Conflict, NotFound
from plumb.frozen import replace
from plumb.kernel.netns.lab_host import Init
from plumb.lab import registry
from plumb.lab.faults import puzzle
from plumb.lab.faults.catalogue import FAULTS
from plumb.lab.faults.fault import LEVELS, Fault
from plumb.lab.faults.puzzle import Hidden
from plumb.lab.faults.scene import set_up
from plumb.lab.layout import Between
from plumb.lab.lessons import lesson
from plumb.lab.registry import Entry
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
    """In another process too."""
    line = (
        "from plumb.lab.faults.puzzle import drawn;"
        " print(*(drawn(number, None).name for number in range(20)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", line], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    names = [puzzle.drawn(number, None).name for number in range(20)]
    assert names == said.stdout.split()
    assert len(set(names)) > 5


def test_a_kernel_that_lacks_something_has_the_next_fault_of_the_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the same level; what is lacking is told."""
    number = next(n for n in range(99) if "macvlan" in puzzle.drawn(n, 2).needs)
    monkeypatch.setattr(puzzle, "missing", lambda needs: [*needs])
    fault, lacking = puzzle.drawn_here(number, 2)
    assert lacking == ["macvlan"]
    assert (fault.level, fault.needs) == (2, ())
    assert fault == next(each for each in puzzle.in_order(number, 2) if not each.needs)
    assert puzzle.drawn_here(number, 2)[0] == fault


@pytest.mark.parametrize("level", LEVELS)
def test_a_fault_is_drawn_from_its_level(level: int) -> None:
    assert {puzzle.drawn(number, level).level for number in range(5)} == {level}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_way_is_commands_that_can_be_typed(fault: Fault) -> None:
    """Words of the shell that injects are not there for who mends."""
    typed = [each for each in (fault.remedy, fault.after) if isinstance(each, str)]
    assert not [each for each in typed if re.search(r"(^|[;(]) *(inside|port) ", each)]


def test_a_module_is_not_loaded_for_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene loads none, and br_netfilter's faults are refused where it is not there."""
    assert not [each for each in set_up() if "icc" in each]
    monkeypatch.setattr(puzzle, "CALL", "net/bridge/nosuch")
    assert puzzle.missing(["br_netfilter"]) == ["br_netfilter"]


@pytest.mark.parametrize(
    ("status", "said"), [(1, ""), (3, ""), (127, "[]"), (0, "Traceback"), (2, "{")]
)
def test_a_doctor_that_fails_has_not_found_nothing(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    _doctor_says(monkeypatch, status, said)
    with pytest.raises(Conflict, match=r"cannot tell .*: plumb doctor failed there: why"):
        puzzle.findings(LAB)


def test_what_doctor_could_not_read_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Hidden(puzzle.named("ip-forward-off"), {})
    _doctor_says(monkeypatch, 1, '{"ID": "not-read", "Read": ["web: rules"]}')
    with pytest.raises(Conflict, match="could not read all of it: web: rules"):
        puzzle.shows(LAB, hidden)
    _doctor_says(monkeypatch, 0, "")
    assert not puzzle.shows(LAB, hidden)


LAB = Entry("broken", Init(0, ""), Between.SWITCH, ())


def _doctor_says(monkeypatch: pytest.MonkeyPatch, status: int, said: str) -> None:
    ran = SimpleNamespace(returncode=status, stdout=said, stderr="why")
    there = SimpleNamespace(plumb=lambda *argv, check: ran)
    monkeypatch.setattr(puzzle, "host", lambda lab, name: there)


def test_a_lab_that_ends_leaves_the_file_of_another_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FOLDER", str(tmp_path))
    new = replace(LAB, process=Init.of(os.getpid()))
    registry.write(new)
    registry.forget(LAB)
    assert registry.find("broken") == new
    registry.forget(new)
    assert registry.every() == []


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
    assert "host, shop" in hints[1]
    assert hints[2] == hints[3]
    assert "the host does not forward IPv4" in hints[2]
    again = plumb("break", "none")
    assert (again.returncode, again.stdout) == (1, "")
    assert "lab broken is not mended yet" in again.stderr

    shown = plumb("solve", "--show").stdout.splitlines()
    assert shown[-1] == "  sysctl -w net.ipv4.ip_forward=1"
    plumb("lab", "exec", "--lab", "broken", "h1", *shown[-1].split())
    told = _solved()
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
    _solved()


def _solved() -> str:
    """Solve until it is mended; what that time has said."""
    last: list[subprocess.CompletedProcess[str]] = []

    def mended() -> bool:
        last[:] = [plumb("solve")]
        return last[0].returncode == 0

    until(mended, "it is mended", 120)
    return last[0].stdout


def test_without_a_lab_there_is_nothing_to_solve() -> None:
    said = plumb("solve")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "plumb: no lab 'broken' runs; 'plumb break' starts it\n"


def test_the_faults_are_listed() -> None:
    rows = plumb("break", "--list", "--level", "1").stdout.splitlines()
    assert len(rows) == 1 + sum(each.level == 1 for each in FAULTS)
    assert rows[1].split()[:2] == ["ip-forward-off", "1"]
    said = plumb("break", "--json")
    assert (said.returncode, "--json and --format go with --list" in said.stderr) == (1, True)
