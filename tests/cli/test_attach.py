"""`plumb attach`: a detached command's output from now on, its signals and its exit code."""

from __future__ import annotations

import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.host.trial_hosts import MARK, plumb, tried
from tests.labs import Lab
from tests.prefork.prefork_lab import said, start
from tests.waiting import until

ANSWERS = """
trap 'echo got USR1; echo error >&2' USR1
trap 'exit 7' TERM
echo before
while :; do sleep 0.05; done
"""
SIGNALLED = """
import os, signal, sys, time
from plumb import __main__
from plumb.engine.host import Host
from plumb.kernel.process.logs import reading

leave = Host.__exit__


def signalled(host, *error):
    (box,) = host.containers()
    folder = host.layout.container(box.id)
    while not any("before" in str(lines) for lines in reading.read(folder, box.log_files)):
        time.sleep(0.01)  # until the command's trap is set
    os.kill(os.getpid(), signal.SIGTERM)
    return leave(host, *error)


Host.__exit__ = signalled
sys.exit(__main__.main())
"""
"""plumb that gets a signal before it lets go of the host."""


def run(lab: Lab, *words: str) -> None:
    """`run -d` of the container box."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "none", "-e", MARK, *words)


def attached(pid: int) -> bool:
    """Tell whether a process waits for changes of files; signals are passed on by then."""
    try:
        return any("inotify" in path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir())
    except FileNotFoundError:  # one was closed meanwhile
        return False


def answers(attach: subprocess.Popen[str], number: int) -> bool:
    """Send a signal, and tell whether attach prints an answer soon."""
    assert attach.stdout is not None
    attach.send_signal(number)
    return bool(select.select([attach.stdout], [], [], 1)[0])


def test_attach_prints_what_comes_and_ends_with_the_command(emptied: Lab) -> None:
    """Not what came before; a signal reaches the command, and its exit code is attach's."""
    run(emptied, "sh", "-c", ANSWERS)
    until(lambda: "before" in plumb(emptied, "logs", "box"), "the trap is set")
    attach = start(emptied, "attach", "box")
    until(lambda: attached(attach.pid), "it waits")
    until(lambda: answers(attach, signal.SIGUSR1), "an answer is printed")
    attach.send_signal(signal.SIGTERM)
    status, output, errors = said(attach)
    assert status == 7
    assert (set(output.splitlines()), set(errors.splitlines())) == ({"got USR1"}, {"error"})


def test_attach_to_what_is_removed_ends_as_killed(emptied: Lab) -> None:
    run(emptied, "sh", "-c", ANSWERS)
    attach = start(emptied, "attach", "box")
    until(lambda: attached(attach.pid), "it waits")
    plumb(emptied, "rm", "-f", "box")
    assert said(attach)[0] == 137


def test_without_sig_proxy_a_signal_ends_attach_alone(emptied: Lab) -> None:
    run(emptied, "sh", "-c", ANSWERS)
    until(lambda: "before" in plumb(emptied, "logs", "box"), "the trap is set")
    attach = start(emptied, "attach", "--no-stdin", "--sig-proxy=false", "box")
    until(lambda: attached(attach.pid), "it waits")
    attach.send_signal(signal.SIGINT)
    assert said(attach)[0] == 130
    assert "Up" in plumb(emptied, "ps")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--log-driver", "none", "sleep", "1000"), "is not kept on this host"),
        ((), "has no command"),
    ],
)
def test_what_cannot_be_attached_to(emptied: Lab, words: tuple[str, ...], refusal: str) -> None:
    """In one line."""
    run(emptied, *words)
    status, printed = tried(emptied, "attach", "box")
    assert (status, printed.count("\n")) == (1, 1)
    assert refusal in printed


def test_a_stopped_container_is_not_attached_to(emptied: Lab) -> None:
    """In Docker's words."""
    run(emptied, "sleep", "1000")
    plumb(emptied, "stop", "-t", "0", "box")
    assert "You cannot attach to a stopped container" in tried(emptied, "attach", "box")[1]


def test_start_attached_prints_what_this_start_prints(emptied: Lab) -> None:
    """Not what an earlier one has printed; the exit code is the command's."""
    script = "echo hello; echo error >&2; exit 3"
    plumb(emptied, "create", "--name", "box", "--network", "none", "-e", MARK, "sh", "-c", script)
    for _ in range(2):
        assert said(start(emptied, "start", "-a", "box")) == (3, "hello\n", "error\n")


def test_start_attached_prints_what_a_container_prints_that_goes_at_its_end(emptied: Lab) -> None:
    words = ("--rm", "--network", "none", "-e", MARK, "echo", "hello")
    plumb(emptied, "create", "--name", "box", *words)
    assert said(start(emptied, "start", "-ai", "box")) == (0, "hello\n", "")


def test_a_signal_right_after_the_start_reaches_the_command(emptied: Lab, tmp_path: Path) -> None:
    """While plumb still has its lock."""
    script = tmp_path / "signalled.py"
    script.write_text(SIGNALLED)
    words = ("--network", "none", "-e", MARK, "sh", "-c", ANSWERS)
    plumb(emptied, "create", "--name", "box", *words)
    started = start(emptied, "start", "-a", "box", env={"PLUMB_WARM": "0"}, program=(str(script),))
    assert said(started)[0] == 7


def test_two_containers_are_not_started_attached(emptied: Lab) -> None:
    """In Docker's words."""
    refusal = "you cannot start and attach multiple containers at once"
    assert refusal in tried(emptied, "start", "-a", "box", "box2")[1]
