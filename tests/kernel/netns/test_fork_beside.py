"""A part of the work done by a fork, at the same time."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.errors import KernelRefused
from plumb.kernel.netns import fork_beside
from tests import REPOSITORY
from tests.programs import line, running
from tests.waiting import until


def test_a_fork_returns_its_value_while_the_caller_works() -> None:
    """And it is another process."""
    with fork_beside.beside(os.getpid) as value:
        assert os.getpid() != value()


def test_the_fork_is_gone_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    """One that nobody waits for is killed, however the with block ends."""
    reading, writing = os.pipe()
    with suppress(KeyboardInterrupt), fork_beside.beside(signal.pause):
        os.close(writing)
        raise KeyboardInterrupt
    assert os.read(reading, 1) == b""  # nobody has its end open
    os.close(reading)
    assert capfd.readouterr().err == ""


def test_a_fork_that_dies_is_told() -> None:
    """Nobody knows then what it has done."""
    with (
        pytest.raises(ChildProcessError),
        fork_beside.beside(lambda: os.kill(os.getpid(), signal.SIGKILL)) as value,
    ):
        value()


def test_an_error_of_the_fork_is_the_callers(capfd: pytest.CaptureFixture[str]) -> None:
    """With its text and its hint; nothing is printed by two processes."""

    def refuse() -> None:
        raise KernelRefused("add link x", 1)

    with (
        pytest.raises(KernelRefused, match="add link x") as caught,
        fork_beside.beside(refuse) as (value),
    ):
        value()
    assert caught.value.hint == KernelRefused("", 1).hint
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [0, 3, 1 << 15])
def test_half_an_answer_is_none(size: int) -> None:
    """A fork may be killed while it writes more than a pipe holds."""
    reading, writing = os.pipe()
    os.write(writing, pickle.dumps(("x" * (1 << 16), None))[:size])
    os.close(writing)
    with pytest.raises(ChildProcessError):
        fork_beside._value(reading)
    os.close(reading)


def test_a_value_may_be_longer_than_a_pipe() -> None:
    """The fork waits until the caller has done its own part."""
    with fork_beside.beside(lambda: "x" * (1 << 20)) as value:
        assert len(value()) == 1 << 20


def test_what_a_killed_fork_has_set_off_is_waited_for(tmp_path: Path) -> None:
    """A program that still writes when its caller has given up would undo what is put right."""
    begun, over = tmp_path / "begun", tmp_path / "over"

    def work() -> None:
        script = f"touch {begun}; sleep 0.5; touch {over}"
        subprocess.run(["sh", "-c", script], check=True, close_fds=False)

    with suppress(KeyboardInterrupt), fork_beside.beside(work):
        until(begun.exists, "the program to begin")
        raise KeyboardInterrupt
    assert over.exists()


def test_no_other_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that waits for any child may have taken the fork's status, and its pid is free."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    with fork_beside.beside(lambda: 3) as value:
        assert value() == 3
        os.waitpid(-1, 0)
    assert killed == []


def test_a_fork_hears_no_signal_of_the_terminal() -> None:
    """Ctrl-C comes to all processes of a group; what it means is the caller's matter."""

    def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "done"

    with fork_beside.beside(work) as value:
        assert value() == "done"


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN], ids=["default", "ignored"])
def test_a_caller_may_ignore_its_children(handler: signal.Handlers) -> None:
    """The kernel keeps no status of theirs then."""
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        with fork_beside.beside(lambda: 3) as value:
            assert value() == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_no_process_with_threads_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread has would stay shut in the fork."""
    monkeypatch.setattr(os, "sched_getaffinity", _processors(2))
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert fork_beside.possible()
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not fork_beside.possible()


def test_no_process_on_one_processor_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two would only take turns."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", _processors(1))
    assert not fork_beside.possible()


def _processors(number: int) -> Callable[[int], set[int]]:
    return lambda pid: set(range(number))


def test_a_fork_does_not_outlive_its_caller() -> None:
    """Who is killed leaves nobody behind that changes the host."""
    script = """
        import os, signal, time
        from plumb.kernel.netns import fork_beside

        with fork_beside.beside(lambda: (print(os.getpid(), flush=True), time.sleep(600))):
            time.sleep(600)
    """
    with running(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    ) as caller:
        fork = int(line(caller))
        caller.kill()
    until(lambda: not _lives(fork), "the fork to end with its caller")


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
