"""What a client makes of a worker's answers, and of signals meanwhile.

The test is the worker: so each answer comes when it is to come.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from plumb.kernel import agent_socket
from plumb.prefork.client import BECOME, COLD, STATUS, TIMEOUT, WILLING
from plumb.prefork.launchers import begun
from tests import REPOSITORY, labs
from tests.labs import Lab
from tests.prefork.prefork_lab import install_launcher, killed, said, start, state
from tests.programs import running
from tests.waiting import until


@dataclass
class Asked:
    """A command, and the connection by which it has asked this test for a worker.

    Attributes:
        child: the process that the worker is said to be.
    """

    ran: subprocess.Popen[str]
    connection: socket.socket
    child: subprocess.Popen[bytes]
    streams: list[int]

    def willing(self) -> None:
        """Accept the request."""
        assert self.connection.recv(1 << 18)
        self.connection.send(WILLING)
        _, self.streams, _, _ = socket.recv_fds(self.connection, 1, 4)

    def begun(self, program: str = sys.executable) -> None:
        """Tell that the worker has begun."""
        message = begun(program, str(REPOSITORY), 1)
        socket.send_fds(self.connection, [message], [os.pidfd_open(self.child.pid)])

    def send(self, answer: bytes) -> None:
        """Send an answer, and hang up."""
        self.connection.send(answer)
        self.hang_up()

    def hang_up(self) -> None:
        """Let go of all that the command has given."""
        self.connection.close()
        while self.streams:
            os.close(self.streams.pop())


@pytest.fixture(params=["python", "launcher"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A lab without an agent, by each of the clients."""
    with labs.lab() as made:
        lab = Lab(tmp_path / "root", made.netns)
        lab.root.mkdir(mode=0o700)
        if request.param == "launcher":
            lab.launcher = install_launcher(tmp_path)
        yield lab


@contextmanager
def asked(lab: Lab, *argv: str) -> Iterator[Asked]:
    """A command that has connected to this test."""
    folder = str(lab.root)
    with (
        agent_socket.listen(folder, agent_socket.COMMAND, socket.SOCK_SEQPACKET) as listener,
        running(["sleep", "600"]) as child,
    ):
        listener.settimeout(60)
        made = Asked(start(lab, *argv), listener.accept()[0], child, [])
        made.connection.settimeout(60)
        listener.close()
        try:
            yield made
        finally:
            made.hang_up()
            made.ran.kill()
            made.ran.communicate(timeout=30)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state(pid) == "T", "it is stopped")


def test_a_command_that_was_stopped_is_not_run_twice(client: Lab) -> None:
    """A system call that waits is interrupted when the process goes on."""
    with asked(client, "version") as made:
        made.willing()
        stop(made.ran.pid)
        made.ran.send_signal(signal.SIGCONT)
        until(lambda: state(made.ran.pid) == "S", "it waits again")
        made.begun()
        made.send(STATUS + b"7")
        assert said(made.ran) == (7, "", "")


def test_an_answer_in_time_is_heard_too_late(client: Lab) -> None:
    """The time to answer passes while the command is stopped: a worker has begun all the same."""
    with asked(client, "version") as made:
        made.willing()
        stop(made.ran.pid)
        made.begun()
        late = time.monotonic() + 1.5 * TIMEOUT
        until(lambda: time.monotonic() > late, "the time is over")
        made.ran.send_signal(signal.SIGCONT)
        made.send(STATUS + b"7")
        assert said(made.ran) == (7, "", "")


def test_who_has_not_begun_in_time_is_told_not_to(client: Lab) -> None:
    """By the liveness pipe, whose other end is closed before the command runs by itself."""
    with asked(client, "version") as made:
        made.willing()
        assert os.read(made.streams[3], 1) == b""
        made.hang_up()
        status, out, _ = said(made.ran)
        assert (status, out.split()[0]) == (0, "plumb")


@pytest.mark.parametrize("answer", [COLD, BECOME], ids=["cold", "become"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_a_signal_that_the_worker_did_nothing_for_is_not_lost(
    client: Lab, answer: bytes, number: signal.Signals
) -> None:
    """It came when the worker had said already that the command runs in the caller's process."""
    with asked(client, "version") as made:
        made.willing()
        made.begun()
        until(lambda: catches(made.ran.pid, number), "it forwards signals")
        made.ran.send_signal(number)
        made.child.wait(60)  # of what was forwarded
        made.send(answer)
        if number == signal.SIGINT:
            assert said(made.ran) == (130, "", "plumb: interrupted\n")
        else:
            assert said(made.ran) == (-number, "", "")


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, and does not block it."""
    found = agent_socket.status(pid)
    return int(found["SigCgt"], 16) & ~int(found["SigBlk"], 16) >> number - 1 & 1 == 1


def test_ctrl_c_before_exec_is_told(client: Lab, tmp_path: Path) -> None:
    """In one line, also while the launcher's process becomes an interpreter."""
    if not client.launcher:
        pytest.skip("the client in Python is an interpreter already")
    interrupted = tmp_path / "interrupted"
    interrupted.write_text(f'#!/bin/sh\nkill -INT $$; exec {sys.executable} "$@"\n')
    interrupted.chmod(0o755)
    with asked(client, "exec", "base", "true") as made:
        made.willing()
        made.begun(str(interrupted))
        made.send(BECOME)
        assert said(made.ran) == (130, "", "plumb: interrupted\n")


def test_an_interrupt_while_a_worker_is_awaited_is_told(client: Lab, tmp_path: Path) -> None:
    """As test_lifetime.py has it for the client in Python."""
    if not client.launcher:
        pytest.skip("see test_lifetime.py")
    client.launcher = install_launcher(tmp_path, "-DTIMEOUT=600")
    with asked(client, "ps") as made:
        assert made.connection.recv(1)
        made.ran.send_signal(signal.SIGINT)
        made.hang_up()
        assert said(made.ran) == (130, "", "plumb: interrupted\n")


def test_who_refuses_before_the_streams_is_asked_once(client: Lab) -> None:
    """The launcher's program need not ask the same again."""
    with asked(client, "version") as made:
        assert made.connection.recv(1)
        made.send(COLD)
        assert said(made.ran)[0] == 0


def test_a_worker_that_is_killed_is_told(client: Lab) -> None:
    """Nobody has asked for it."""
    with asked(client, "version") as made:
        made.willing()
        made.begun()
        killed(made.child.pid)
        made.hang_up()
        status, _, errors = said(made.ran)
        assert (status, "was killed" in errors) == (1, True)
