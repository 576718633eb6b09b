"""Supervision by the agent: health checks in containers, and commands that are started again."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from plumb.kernel import agent_socket
from plumb.kernel.process import health_file
from tests.host.trial_hosts import MARK, plumb, tried
from tests.labs import Lab
from tests.waiting import until

QUICK = ("--health-interval", "100ms", "--health-retries", "2", "--health-timeout", "5s")


def run(lab: Lab, *words: str) -> str:
    """`run -d --name box` without a network; its id."""
    given = ("run", "-d", "--name", "box", "--network", "none", "-e", MARK)
    return plumb(lab, *given, *words).strip()


def state(lab: Lab) -> dict[str, Any]:
    """Its .State."""
    found: dict[str, Any] = json.loads(plumb(lab, "inspect", "box"))[0]["State"]
    return found


def health(lab: Lab) -> str:
    """The status of its health."""
    return str(state(lab)["Health"]["Status"])


def turns(lab: Lab, wanted: str) -> None:
    """Wait for a status of its health."""
    until(lambda: health(lab) == wanted, f"it is {wanted}")


def test_health_follows_the_check(emptied: Lab, tmp_path: Path) -> None:
    """Starting, unhealthy after failures in a row, healthy after one success; ps shows it."""
    sign = tmp_path / "sign"
    run(emptied, *QUICK, "--health-cmd", f"echo hello; test -e {sign}", "sleep", "1000")
    turns(emptied, "unhealthy")
    sign.touch()
    turns(emptied, "healthy")
    last = state(emptied)["Health"]["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (0, "hello\n")
    assert "(healthy)" in plumb(emptied, "ps")
    assert plumb(emptied, "ps", "-q", "-f", "health=healthy") != ""
    assert plumb(emptied, "ps", "-q", "-f", "health=unhealthy") == ""
    assert plumb(emptied, "check") == ""


def test_a_check_is_in_the_containers_namespaces(emptied: Lab) -> None:
    """Its host name, its mounts, its network, its environment."""
    show = "hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/mnt; echo $COLOUR"
    run(emptied, *QUICK, "-e", "COLOUR=red", "-h", "inside", "--health-cmd", show, "sleep", "1000")
    turns(emptied, "healthy")
    pid = state(emptied)["Pid"]
    own = [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("net", "mnt")]
    assert state(emptied)["Health"]["Log"][0]["Output"].split() == ["inside", *own, "red"]


def test_a_check_that_lasts_too_long_is_killed(emptied: Lab) -> None:
    """With all that it has started; the exit code is -1."""
    given = ("--health-interval", "100ms", "--health-retries", "1", "--health-timeout", "300ms")
    run(emptied, *given, "--health-cmd", "echo begun; sleep 4321 & wait", "sleep", "1000")
    turns(emptied, "unhealthy")
    last = state(emptied)["Health"]["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (
        -1,
        "Health check exceeded timeout (300ms): begun\n",
    )


def test_long_output_is_cut(emptied: Lab) -> None:
    """The check itself is not held up."""
    run(emptied, *QUICK, "--health-cmd", "head -c 1000000 /dev/zero | tr '\\0' x", "sleep", "1000")
    turns(emptied, "healthy")
    assert state(emptied)["Health"]["Log"][0]["Output"] == "x" * 4096 + "..."


def test_a_stopped_container_is_unhealthy_and_is_not_checked(emptied: Lab) -> None:
    """As in Docker; its results stay, and it is starting when it starts again."""
    run(emptied, *QUICK, "--health-cmd", "true", "sleep", "1000")
    turns(emptied, "healthy")
    plumb(emptied, "stop", "-t", "0", "box")
    assert health(emptied) == "unhealthy"
    assert state(emptied)["Health"]["Log"] != []
    plumb(emptied, "start", "box")
    turns(emptied, "healthy")


def test_a_container_without_a_command_is_checked(emptied: Lab) -> None:
    """In its network namespace."""
    run(emptied, *QUICK, "--health-cmd", "test $(ls /sys/class/net) = lo")
    turns(emptied, "healthy")


def test_an_agent_that_is_started_in_place_of_a_killed_one_goes_on(emptied: Lab) -> None:
    """With the status that was known."""
    ident = run(emptied, *QUICK, "--health-cmd", "true", "sleep", "1000")
    turns(emptied, "healthy")
    folder = str(Path(emptied.root, "containers", ident))
    began = (health_file.read(folder) or {})["Began"]
    os.kill(agent_socket.running(str(emptied.root))[0], signal.SIGKILL)
    until(lambda: not agent_socket.running(str(emptied.root))[0], "it has ended")
    assert health(emptied) == "healthy"  # the command has brought it back
    assert agent_socket.running(str(emptied.root))[0]
    before = len(state(emptied)["Health"]["Log"])
    until(lambda: len(state(emptied)["Health"]["Log"]) > before or before == 5, "it checks")
    assert (health_file.read(folder) or {})["Began"] == began


def test_the_record_is_left_alone(emptied: Lab) -> None:
    """Results are the agent's: no check takes the writers' turn, or writes to the store."""
    run(emptied, *QUICK, "--health-cmd", "true", "sleep", "1000")
    turns(emptied, "healthy")
    before = [os.stat(path).st_mtime_ns for path in emptied.root.glob("plumb.db*")]
    last = state(emptied)["Health"]["Log"][-1]["Start"]
    until(lambda: state(emptied)["Health"]["Log"][-1]["Start"] > last, "it was checked again")
    assert [os.stat(path).st_mtime_ns for path in emptied.root.glob("plumb.db*")] == before


def restarts(lab: Lab) -> int:
    """Its .RestartCount."""
    return int(plumb(lab, "inspect", "-f", "{{.RestartCount}}", "box"))


def test_a_command_that_dies_is_started_again(emptied: Lab, tmp_path: Path) -> None:
    """By the agent, in a network namespace that is new."""
    starts = tmp_path / "starts"
    run(emptied, "--restart", "on-failure", "sh", "-c", f"echo >> {starts}; exit 3")
    until(lambda: starts.exists() and len(starts.read_text()) >= 3, "three starts", 60)
    assert restarts(emptied) >= 2
    plumb(emptied, "stop", "box")
    assert state(emptied)["Status"] == "exited"
    assert plumb(emptied, "check") == ""


def test_a_command_that_dies_at_once_makes_no_storm(emptied: Lab, tmp_path: Path) -> None:
    """The back-off doubles: in six seconds there are seven starts at most."""
    starts, begin = tmp_path / "starts", time.monotonic()
    run(emptied, "--restart", "always", "sh", "-c", f"echo >> {starts}")
    until(lambda: time.monotonic() - begin > 6, "six seconds")
    count = len(starts.read_text()) if starts.exists() else 0
    assert count <= 7 or time.monotonic() - begin > 12
    assert state(emptied)["Status"] in ("restarting", "running")


def test_on_failure_gives_up_after_as_many_starts(emptied: Lab, tmp_path: Path) -> None:
    """Two more after the first."""
    starts = tmp_path / "starts"
    run(emptied, "--restart", "on-failure:2", "sh", "-c", f"echo >> {starts}; exit 3")
    until(lambda: state(emptied)["Status"] == "exited", "it has given up", 60)
    assert (len(starts.read_text()), restarts(emptied)) == (3, 2)
    assert state(emptied)["ExitCode"] == 3


def test_an_agent_that_was_killed_takes_the_wait_up_again(emptied: Lab, tmp_path: Path) -> None:
    """The next command brings it back, and it starts what waits."""
    starts = tmp_path / "starts"
    run(emptied, "--restart", "always", "sh", "-c", f"echo >> {starts}")
    until(lambda: restarts(emptied) >= 3, "the wait is long", 60)
    until(lambda: state(emptied)["Status"] == "restarting", "it waits", 60)
    os.kill(agent_socket.running(str(emptied.root))[0], signal.SIGKILL)
    before = len(starts.read_text())
    plumb(emptied, "ps")
    until(lambda: len(starts.read_text()) > before, "it was started again", 60)


def test_a_foreground_run_is_started_again_by_the_agent(emptied: Lab, tmp_path: Path) -> None:
    """Whoever ran it has its exit status, as of Docker's client."""
    starts = tmp_path / "starts"
    script = f"echo >> {starts}; test $(wc -l < {starts}) -gt 1 && exec sleep 1000; exit 3"
    words = ("run", "--name", "box", "--network", "none", "--restart", "always", "-e", MARK)
    assert tried(emptied, *words, "sh", "-c", script)[0] == 3
    until(lambda: state(emptied)["Status"] == "running", "it runs again", 60)
    assert restarts(emptied) == 1
