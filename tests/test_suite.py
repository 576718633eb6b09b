"""The suite does not wait for ever: not for a test, and not for a part of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.suite import SILENCE, _Part

A_TEST_THAT_WAITS = """
import time

def test_waits():
    time.sleep(1000)

def test_is_quick():
    pass
"""


def test_a_part_that_says_nothing_is_ended_and_its_processes_named(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    script = "import time; print('begun', flush=True); time.sleep(1000)"
    began = time.monotonic()
    assert _Part("here | ", [sys.executable, "-c", script], silence=3).ended() != 0
    assert time.monotonic() - began < 100, "it is not waited for"
    said = capfdbinary.readouterr().out
    assert b"here | begun" in said
    assert b"nothing was printed for 3 s" in said
    assert b"time.sleep(1000)" in said, "the list of processes has it"


def test_a_part_that_prints_goes_on_beyond_its_silence(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    script = "import time\nfor _ in range(20): print('.', end='', flush=True); time.sleep(0.2)"
    assert _Part("", [sys.executable, "-c", script], silence=3).ended() == 0
    assert capfdbinary.readouterr().out == b"." * 20 + b"\n"


def test_a_test_that_waits_for_ever_fails_and_the_next_one_is_run(tmp_path: Path) -> None:
    asked = tmp_path / "test_asked.py"
    asked.write_text(A_TEST_THAT_WAITS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout=2", f"--rootdir={tmp_path}", asked],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 failed, 1 passed" in ran.stdout


def test_every_test_has_a_timeout(pytestconfig: pytest.Config) -> None:
    assert float(pytestconfig.getini("timeout")) < SILENCE
