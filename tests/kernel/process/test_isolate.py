"""`run --isolate`: a command that sees neither the host's processes nor a way around its mounts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests import REPOSITORY, labs
from tests.host.trial_hosts import MARK, end_all, marked, plumb, tried
from tests.labs import Lab
from tests.programs import line, running
from tests.waiting import until

RUN = ("run", "--rm", "--network", "net", "--isolate")
ANY_ROOT = "for p in /proc/[0-9]*; do touch $p/root/srv/written; done"


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab whose root is outside of /tmp, with a network of the name net."""
    Path("/srv").mkdir(exist_ok=True)
    labs.sh("mount -t tmpfs -o mode=755 none /srv")
    there = replace(lab, root=Path("/srv", lab.root.parent.name, "root"))
    there.root.parent.mkdir()
    plumb(there, "network", "create", "net", "--subnet", "10.9.0.0/24")
    try:
        yield there
    finally:
        try:
            plumb(there, "reset", "--force")
        finally:
            end_all(there)
            labs.sh("umount -l /srv")


def run(lab: Lab, *words: str) -> tuple[int, str]:
    """`run --rm --isolate` in the foreground; exit status, and what it printed."""
    return tried(lab, *RUN, *words)


def run_detached(lab: Lab, *words: str, name: str = "box", flag: str = "--isolate") -> None:
    """`run -d --name box --isolate`."""
    box = ("run", "-d", "--name", name, "--network", "net", "-e", MARK, flag)
    plumb(lab, *box, *(words or ("sleep", "1000")))


@contextmanager
def started(lab: Lab, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command line in a process of its own, which has said "up"."""
    env = {**os.environ, "PLUMB_ROOT": str(lab.root), "PYTHONPATH": str(REPOSITORY)}
    with running(
        [sys.executable, "-m", "plumb", *words],
        env={**env, MARK: str(lab.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    ) as command:
        assert line(command) == "up\n"
        yield command
        command.wait(60)


def test_it_sees_its_own_processes_alone(net: Lab) -> None:
    """An init, and the command, whose parent that is."""
    status, printed = run(net, "sh", "-c", "echo $$ $PPID; ls -d /proc/[0-9]*; exit 3")
    assert status == 3
    assert printed.split()[:4] == ["2", "1", "/proc/1", "/proc/2"]


def test_no_process_is_a_way_to_the_hosts_files(net: Lab) -> None:
    """With --read-only-host /proc/PID/root of an ordinary container is one; here there is none."""
    run_detached(net, name="other", flag="--rm")
    assert run(net, "sh", "-c", ANY_ROOT)[0] != 0
    assert not Path("/srv/written").exists()

    tried(net, "run", "--rm", "--network", "net", "--read-only-host", "sh", "-c", ANY_ROOT)
    assert Path("/srv/written").exists()


@pytest.mark.parametrize(
    "line",
    [
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "touch /etc/plumb-was-here",
        "mount -t proc none /proc",
        "umount /proc",
        "kill -9 HOST",
        "nsenter --target HOST --mount true",
    ],
)
def test_it_can_change_nothing_of_the_host(line: str, net: Lab) -> None:
    """Neither files nor processes; the host's pids name nothing in it."""
    with running(["sleep", "1000"]) as outside:
        status, printed = run(net, "sh", "-c", line.replace("HOST", str(outside.pid)))
        assert outside.poll() is None
    assert status != 0, printed


def test_shared_memory_is_its_own(net: Lab) -> None:
    """System V IPC has a namespace too."""
    made = labs.sh("ipcmk -M 4096").split()[-1]
    try:
        assert made not in run(net, "ipcs", "-m")[1]
    finally:
        labs.sh(f"ipcrm -m {made}")


def test_exec_enters_it(net: Lab) -> None:
    """It sees the same processes and mounts, and its status and signals are as ever."""
    run_detached(net, "sh", "-c", "echo x > /tmp/mine; exec sleep 1000")
    assert plumb(net, "exec", "box", "sh", "-c", "until cat /tmp/mine; do :; done") == "x\n"
    assert "sleep" in plumb(net, "exec", "box", "cat", "/proc/2/cmdline")
    assert tried(net, "exec", "box", "sh", "-c", "exit 7")[0] == 7
    assert tried(net, "exec", "box", "no-such-program")[0] == 127
    assert "--isolate is undone" in tried(net, "exec", "--privileged", "box", "true")[1]

    line = "trap 'exit 9' TERM; echo up; sleep 1000 & wait"
    with started(net, "exec", "box", "sh", "-c", line) as command:
        command.terminate()
    assert command.returncode == 9


def test_exec_in_a_container_without_a_command(net: Lab) -> None:
    """Each has namespaces of its own, and an init."""
    plumb(net, "run", "-d", "--name", "bare", "--network", "net", "--isolate")
    seen = "echo $$ $PPID; ls -d /proc/[0-9]*; exit 6"
    status, printed = tried(net, "exec", "bare", "sh", "-c", seen)
    assert (status, printed.split()[:4]) == (6, ["2", "1", "/proc/1", "/proc/2"])
    with started(net, "exec", "bare", "sh", "-c", "echo up; exec sleep 2000") as command:
        command.terminate()
    assert command.returncode == 143


def test_a_killed_exec_ends_its_command(net: Lab) -> None:
    """The kernel ends it together with the process that waits for it."""
    run_detached(net)
    with started(net, "exec", "box", "sh", "-c", "echo up; exec sleep 2000") as command:
        command.kill()
    until(lambda: not any("sleep 2000" in words for words in marked(net).values()), "it ends")


def test_stop_ends_it_at_once(net: Lab) -> None:
    """Its init passes SIGTERM on, which a command that is an init itself would not get."""
    run_detached(net)
    plumb(net, "stop", "-t", "-1", "box")
    (box,) = json.loads(plumb(net, "inspect", "box"))
    assert box["State"]["ExitCode"] == 143
    assert not any("sleep" in words for words in marked(net).values())


def test_what_a_command_leaves_ends_with_it(net: Lab) -> None:
    """The kernel kills all of its PID namespace, and its output stays."""
    run_detached(net, "sh", "-c", "setsid sleep 3000 & echo said; exit 4")
    assert plumb(net, "logs", "-f", "box") == "said\n"
    until(lambda: "Exited (4)" in plumb(net, "ps", "-a"), "it is settled")
    assert not any("sleep 3000" in words for words in marked(net).values())


def test_orphans_are_reaped(net: Lab) -> None:
    """Its init waits for the children of processes that have ended."""
    line = (
        "for i in 1 2 3; do (sleep 0 &); done; while grep -l '^State:.Z' /proc/*/status; do :; done"
    )
    assert run(net, "timeout", "60", "sh", "-c", line)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_reach_it(number: signal.Signals, net: Lab) -> None:
    """--sig-proxy: those to a foreground run are passed on, and nothing is left behind."""
    line = f"trap 'echo got; exit 5' {number.name[3:]}; echo up; sleep 1000 & wait"
    with started(net, *RUN, "sh", "-c", line) as command:
        command.send_signal(number)
        assert command.communicate(timeout=60)[0] == "got\n"
    assert command.returncode == 5
    assert plumb(net, "ps", "-aq") == ""


def test_a_signal_without_a_handler_ends_it(net: Lab) -> None:
    """As with `timeout 2 plumb run --rm`: 128 + N, and no container."""
    with started(net, *RUN, "sh", "-c", "echo up; exec sleep 1000") as command:
        command.terminate()
    assert command.returncode == 143
    assert plumb(net, "ps", "-aq") == ""


def test_it_stays_isolated(net: Lab) -> None:
    """After restart, and after its shim was killed, which ends it, and repair."""
    run_detached(net)
    plumb(net, "restart", "-t", "5", "box")
    assert "sleep" in plumb(net, "exec", "box", "cat", "/proc/2/cmdline")
    folder = next(net.root.glob("containers/*/pid"))
    os.kill(int(folder.read_text().split()[2]), signal.SIGKILL)
    until(lambda: not any("sleep" in words for words in marked(net).values()), "it has ended")
    plumb(net, "repair")
    assert tried(net, "check") == (0, "")
    plumb(net, "start", "box")
    assert "sleep" in plumb(net, "exec", "box", "cat", "/proc/2/cmdline")


def test_a_command_that_is_not_there(net: Lab) -> None:
    """The error is the same as without, and nothing is left."""
    status, printed = tried(net, "run", "-d", "--network", "net", "--isolate", "no-such-program")
    assert (status, printed.count("\n")) == (125, 1)
    assert "no-such-program" in printed
    assert run(net, "no-such-program")[0] == 127
    assert plumb(net, "ps", "-aq") == ""


def test_inspect_shows_dockers_fields(net: Lab) -> None:
    """PidMode is "host" where processes are shared."""
    for flag in ("--isolate", "--read-only-host"):
        plumb(net, "create", "--name", flag[2:], "--network", "net", flag, "true")
    shown = json.loads(plumb(net, "inspect", "isolate", "read-only-host"))
    assert [box["HostConfig"]["PidMode"] for box in shown] == ["", "host"]
    assert [box["HostConfig"]["ReadonlyRootfs"] for box in shown] == [True, True]
