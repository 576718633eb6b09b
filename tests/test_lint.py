"""ruff and mypy, as tests: green means all of it."""

from __future__ import annotations

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
