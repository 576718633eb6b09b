"""The suite does not wait for ever: not for a test, and not for a part of its own."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import REPOSITORY, programs, usual_signals
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


def test_no_test_waits_in_its_clean_up_for_a_program_that_it_has_not_ended() -> None:
    """The end of `with subprocess.Popen(...)` does, and pytest's timeout comes once."""
    found = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "tests").rglob("*.py")
        if any(map(_waits_for_a_program, ast.walk(ast.parse(path.read_text()))))
    }
    assert found - {"tests/vm/machine.py", "tests/bench/services.py"} == {"tests/programs.py"}


def _waits_for_a_program(node: ast.AST) -> bool:
    """Whether this is a with block of subprocess.Popen's."""
    return isinstance(node, ast.With) and any(
        isinstance(each.context_expr, ast.Call)
        and ast.unparse(each.context_expr.func) == "subprocess.Popen"
        for each in node.items
    )


def test_a_program_ends_with_its_block_and_its_lines_come_in_time() -> None:
    script = "import time; print('one'); print('two', flush=True); time.sleep(1000)"
    began = time.monotonic()
    with programs.running([sys.executable, "-c", script], stdout=subprocess.PIPE) as program:
        assert [programs.line(program) for _ in range(2)] == ["one\n", "two\n"]
        with pytest.raises(AssertionError, match="in vain for a line"):
            programs.line(program, 0.2)
    assert program.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 100, "it is not waited for"


def test_a_program_that_does_not_end_by_a_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "A_MINUTE", 1)
    words = ["sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.05; done"]
    with programs.running(words, stdout=subprocess.PIPE) as program:
        assert programs.line(program) == "set\n"
        programs.stop(program)
        assert program.returncode == -signal.SIGKILL


SIGNALS = """
import os, signal, subprocess, sys
from tests import usual_signals

usual_signals.restore()
for number in (signal.SIGHUP, signal.SIGINT):
    os.kill(os.getpid(), number)  # ignored as before
said = "grep -E '^Sig(Ign|Blk)' /proc/self/status"
print(subprocess.run(["sh", "-c", said], capture_output=True, text=True).stdout, flush=True)
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGHUP)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_programs_have_the_usual_signals_where_the_suite_has_others() -> None:
    """As behind `nohup make test &`."""

    def others() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    ran = subprocess.run(
        [sys.executable, "-c", SIGNALS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=others,
    )
    words = ran.stdout.split()
    masks = {words[0]: int(words[1], 16), words[2]: int(words[3], 16)}
    lost = sum(1 << number - 1 for number in (*usual_signals.ENDING, *usual_signals.OTHERS))
    assert [mask & lost for mask in masks.values()] == [0, 0], ran.stderr
    assert words[-1] == str(-signal.SIGHUP)
