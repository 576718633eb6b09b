"""ruff and mypy, as tests: green means all of it. And a rule that they do not know."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests import REPOSITORY


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["ruff", "format", "mypy"],
)
def test_lint(command: list[str]) -> None:
    """ruff has nothing to say, and neither has mypy --strict."""
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


BY_NAME = re.compile(r"\b(pkill|killall|pidof)\b")
WITHIN_A_PID_NAMESPACE = {"tests/host/test_overlay_faults.py", "tests/bench/overlay.py"}


def test_no_process_is_ended_by_its_name() -> None:
    """A container sees the host's processes: its `pidof sleep` names those of all other tests."""
    found = {
        str(file.relative_to(REPOSITORY))
        for folder in ("tests", "examples", "vagrant")
        for file in (REPOSITORY / folder).rglob("*.py")
        if BY_NAME.search(file.read_text())
    }
    assert found - {"tests/test_lint.py"} == WITHIN_A_PID_NAMESPACE
