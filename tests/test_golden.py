"""Golden: the plan of everything that can be built, as the commands that one would type.

Whoever changes a driver sees here what the change means, in the field's own language. After a
change that is meant:
`PLUMB_UPDATE_GOLDEN=1 make test`, and read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from plumb import Host
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.plan import Step
from plumb.views.shell import commands
from tests.cases import CASES, fixed
from tests.memory_host import FORWARDING, FRESH

GOLDEN = Path(__file__).parent / "golden"


def planned(name: str) -> str:
    """The plan of a case on a fresh host, as text."""
    return "".join(line + "\n" for line in commands(steps(name), explain=True))


def steps(name: str) -> list[Step]:
    """The plan of a case on a fresh host."""
    case = CASES[name]
    taken: list[Step] = []

    def note(steps: Sequence[Step]) -> None:
        taken.extend(steps)

    now = [
        replace(sysctl, value="1")
        for sysctl in FORWARDING
        if sysctl.name.replace("/", ".") + "=1" in case.before
    ]
    kinds = {"lab0": "bridge"} if "ip link add lab0" in case.before else {"eth0": "veth"}
    with (
        Host(
            "/lab",
            settings=case.settings,
            kernel=MemoryKernel([*FRESH, *now]),
            system=fixed(System(kind_of=kinds.get)),
            on_steps=note,
            dry_run=True,
        ) as host,
        host.operation() as verbs,
    ):
        case.build(verbs)
    return taken


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_as_written_down(name: str) -> None:
    """What would be done for each case is what tests/golden says."""
    file = GOLDEN / f"{name}.txt"
    found = planned(name)
    if os.environ.get("PLUMB_UPDATE_GOLDEN"):
        file.write_text(found)

    assert file.read_text() == found


def test_no_golden_file_is_without_a_case() -> None:
    """Every file in tests/golden belongs to a case."""
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(CASES)
