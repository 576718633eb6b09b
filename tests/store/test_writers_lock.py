"""The writers' lock: in the order in which they came, woken, and whoever comes back goes behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plumb.errors import Conflict
from plumb.store import writers_lock
from plumb.store.writers_lock import writers_turn
from tests.waiting import until


class Writers:
    """Processes that take their turn on one root, and write down when they have it."""

    def __init__(self, root: Path) -> None:
        self.root, self.paths = root, (str(root), str(root / "queue"))
        self.reading, self.writing = os.pipe()
        self.pids: list[int] = []

    def fork(self, work: Callable[[], object]) -> int:
        """Do something in a process, which shares no flock with this one."""
        pid = os.fork()
        if pid == 0:
            try:
                os.closerange(3, self.writing)
                os.closerange(self.writing + 1, 1000)
                work()
            finally:
                os._exit(0)
        self.pids.append(pid)
        return pid

    def waiter(self, name: str) -> int:
        """A process that waits: it says its name when it has its turn. Its pid."""
        before = self.waiting()
        pid = self.fork(lambda: self.say(name))
        until(lambda: self.waiting() > before, f"{name} waits")
        return pid

    def say(self, name: str) -> None:
        """Take a turn, and write the name down."""
        with writers_turn(*self.paths):
            os.write(self.writing, name.encode())

    def waiting(self) -> int:
        """How many wait for a flock on the root or on its queue (proc_locks(5))."""
        inodes = {path.stat().st_ino for path in (self.root, self.root / "queue") if path.exists()}
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return sum(words[1] == "->" and int(words[6].split(":")[2]) in inodes for words in lines)

    def said(self) -> str:
        """The names in the order in which they had their turns, when all have ended."""
        while self.pids:
            os.waitpid(self.pids.pop(), 0)
        os.close(self.writing)
        with os.fdopen(self.reading) as file:
            return file.read()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    """Writers of an empty root."""
    made = Writers(tmp_path)
    yield made
    for pid in made.pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_turns_come_in_the_order_of_arrival(writers: Writers) -> None:
    """Twelve who wait get it one after the other."""
    with writers_turn(*writers.paths):
        for name in "abcdefghijkl":
            writers.waiter(name)
    assert writers.said() == "abcdefghijkl"


def test_whoever_comes_back_at_once_goes_behind(writers: Writers) -> None:
    """A process with many operations does not overtake who waits at the head of the queue."""
    with writers_turn(*writers.paths):
        writers.waiter("a")
        writers.waiter("b")
    writers.say("x")
    said = writers.said()
    assert sorted(said) == ["a", "b", "x"]
    assert said.index("a") < said.index("x")


def test_a_waiter_is_woken_and_does_not_poll(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not run while it waits: the kernel counts no switch to it (proc_pid_status(5)).

    One of its threads is in flock(2) when the waiter is counted; then all of them sleep at once
    only when the other has come to its own wait.
    """
    monkeypatch.setattr(writers_lock, "PATIENCE", 60)
    with writers_turn(*writers.paths):
        writers.waiter("a")
        pid = writers.waiter("b")
        until(lambda: states(pid) == {"S"}, "it sleeps")
        before = switches(pid)
        with pytest.raises(AssertionError):
            until(lambda: switches(pid) != before, "it runs", 0.5)
    assert writers.said() == "ab"


def switches(pid: int) -> list[str]:
    """How often each thread of a process has gone to sleep."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(
        line
        for task in tasks
        for line in (task / "status").read_text().splitlines()
        if line.startswith("voluntary")
    )


def states(pid: int) -> set[str]:
    """The states of a process's threads (proc_pid_stat(5))."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}


def test_a_waiter_that_is_killed_holds_nobody_up(writers: Writers) -> None:
    """The kernel takes it out of the queue."""
    with writers_turn(*writers.paths):
        first = writers.waiter("a")
        writers.waiter("b")
        os.kill(first, signal.SIGKILL)
    assert writers.said() == "b"


def test_a_waiter_that_is_stopped_is_passed_after_a_while(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z of a command that waits blocks no other for good."""
    monkeypatch.setattr(writers_lock, "PATIENCE", 0.2)
    with writers_turn(*writers.paths):
        stopped = writers.waiter("a")
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: states(stopped) == {"T"}, "all its threads are stopped")
    writers.say("x")
    os.kill(stopped, signal.SIGCONT)
    assert writers.said() == "xa"


def test_a_wait_that_is_given_up_leaves_no_thread_that_takes_signals(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A foreground run waits for SIGCHLD by then, which another thread would take for nothing."""
    monkeypatch.setattr(writers_lock, "PATIENCE", 0.2)
    before = set(threading.enumerate())
    with writers_turn(*writers.paths):
        stopped = writers.waiter("a")
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: states(stopped) == {"T"}, "all its threads are stopped")
    with writers_turn(*writers.paths):
        (left,) = set(threading.enumerate()) - before
        status = Path(f"/proc/self/task/{left.native_id}/status").read_text()
    os.kill(stopped, signal.SIGCONT)
    left.join(60)
    blocked = next(int(line.split()[1], 16) for line in status.splitlines() if "SigBlk" in line)
    assert all(blocked >> number - 1 & 1 for number in (signal.SIGCHLD, signal.SIGTERM))


def test_a_stopped_waiter_costs_the_others_two_seconds(writers: Writers) -> None:
    """Who is behind it takes the turn as soon as it sees that it is free."""
    with writers_turn(*writers.paths):
        stopped = writers.waiter("a")
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: states(stopped) == {"T"}, "all its threads are stopped")
    begun = time.monotonic()
    with writers_turn(*writers.paths):
        took = time.monotonic() - begun
    os.kill(stopped, signal.SIGCONT)
    assert writers.said() == "a"
    assert took < 20  # of 60 that it was


def test_who_waits_in_vain_is_told(writers: Writers) -> None:
    """In one line, and has let go of its place."""
    with (
        writers_turn(*writers.paths),
        pytest.raises(Conflict, match="another plumb is at work"),
        writers_turn(*writers.paths, seconds=0.2),
    ):
        pass
    writers.say("x")
    assert writers.said() == "x"


def test_a_root_where_no_file_can_be_made_has_turns(tmp_path: Path) -> None:
    """As on a full or a read-only disk: the queue is missing, the turn is not."""
    missing = str(tmp_path / "missing" / "queue")
    with writers_turn(str(tmp_path), missing):
        assert list(tmp_path.iterdir()) == []
