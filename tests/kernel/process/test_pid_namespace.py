"""Process that waits for a command at a terminal: Ctrl-Z, Ctrl-C, and the terminal's end."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from plumb.kernel.process import shim
from tests import REPOSITORY
from tests.waiting import until

WAITING = (
    "import os; from plumb.kernel.process import pid_namespace;"
    " pid_namespace.fork_waiting(os.fork); print('ready', flush=True);"
    " os.execvp('sleep', ['sleep', '1000'])"
)
WORDS = (sys.executable, "-c", WAITING)


class Terminal:
    """Terminal of a session whose leader runs these words."""

    def __init__(self, *words: str) -> None:
        self.leader, self.master = pty.fork()
        if self.leader == 0:
            os.chdir(REPOSITORY)
            os.execv(words[0], words)
        os.set_blocking(self.master, False)
        self.printed = ""

    def shows(self, text: str) -> bool:
        """Tell whether it has shown a text by now."""
        with suppress(OSError):  # none is there yet, or the session has ended
            self.printed += os.read(self.master, 4096).decode()
        return text in self.printed

    def type(self, key: str) -> None:
        """Press a key."""
        os.write(self.master, key.encode())

    def end(self) -> int:
        """Wait until the leader has ended; its exit status, -N for signal N."""
        found: list[int] = []

        def ended() -> bool:
            pid, status = os.waitpid(self.leader, os.WNOHANG)
            if pid:
                found.append(os.waitstatus_to_exitcode(status))
            return bool(pid)

        until(ended, "the leader has ended", 60)
        self.leader = 0
        return found[0]


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """A terminal, whose session has ended in the end."""
    made = Terminal(*words)
    try:
        until(lambda: made.shows("ready"), lambda: made.printed, 60)
        yield made
    finally:
        if made.leader:
            os.kill(made.leader, signal.SIGKILL)
            os.waitpid(made.leader, 0)
        with suppress(OSError):
            os.close(made.master)


def pending(pid: int, number: int) -> bool:
    """Tell whether a signal waits for a process."""
    with open(f"/proc/{pid}/status") as file:
        (word,) = (line.split()[1] for line in file if line.startswith("ShdPnd:"))
    return bool(int(word, 16) >> number - 1 & 1)


@pytest.fixture
def leader() -> Iterator[Terminal]:
    """A terminal whose session's leader waits for a command, as by `ssh -t` or tmux."""
    with terminal(*WORDS) as made:
        yield made


def test_ctrl_z_stops_nothing_where_no_shell_waits(leader: Terminal) -> None:
    """The kernel discards the command's SIGTSTP, and whoever waits for it goes on, too."""
    leader.type("\x1a")
    until(lambda: leader.shows("^Z"), "the terminal has it", 60)
    until(lambda: not pending(leader.leader, signal.SIGTSTP), "the signal is taken", 60)
    leader.type("\x03")
    assert leader.end() == -signal.SIGINT


def test_a_terminal_s_end_is_the_command_s(leader: Terminal) -> None:
    """Of a hangup the kernel tells the leader alone."""
    os.close(leader.master)
    assert leader.end() == 128 + signal.SIGHUP


def test_ctrl_z_stops_a_shell_s_job() -> None:
    """With the command, and both go on together."""
    job = f"{shlex.join(WORDS)}; echo was $?; fg; echo now $?"
    with terminal("/bin/bash", "-mc", job) as shell:
        shell.type("\x1a")
        until(lambda: shell.shows(f"was {128 + signal.SIGTSTP}"), lambda: shell.printed, 60)
        (waiting, _) = shim.descendants(shell.leader)
        os.kill(waiting, signal.SIGTERM)
        until(lambda: shell.shows(f"now {128 + signal.SIGTERM}"), lambda: shell.printed, 60)


def test_ctrl_c_ends_a_shell_s_loop() -> None:
    """A shell goes on after a command that ends with 130 by itself."""
    with terminal("/bin/bash", "-c", f"while :; do {shlex.join(WORDS)}; done") as shell:
        shell.type("\x03")
        assert shell.end() == -signal.SIGINT
