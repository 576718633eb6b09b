"""Commands in containers.

What they see, what they may do, how they end, and that nothing of them outlives them.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.kernel.process import commands
from tests import labs
from tests.host.trial_hosts import (
    MARK,
    end_all,
    fork_plumb,
    host,
    marked,
    plumb,
    printed_so_far,
    tried,
)
from tests.labs import Lab
from tests.waiting import until

CHOWN, NET_ADMIN = 0, 12
DOCKERS = 0xA80425FB
"""The capabilities that Docker gives a container."""


@pytest.fixture
def net(lab: Lab) -> Iterator[Lab]:
    """A lab with a network of the name net, which keeps silent.

    In the end nothing of the test's runs.
    """
    plumb(
        lab,
        "network",
        "create",
        "net",
        "--subnet",
        "10.9.0.0/24",
        "-o",
        "com.docker.network.advertise_addr_nmsgs=0",
    )
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def run(lab: Lab, *words: str, status: int = 0) -> str:
    """`run --rm` in the foreground on the network net; what it printed."""
    ended, printed = tried(lab, "run", "--rm", "--network", "net", *words)
    assert ended == status, printed
    return printed


def run_detached(lab: Lab, *words: str) -> None:
    """`run -d --name box`, with the tests' mark in its environment."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "net", "-e", MARK, *words)


def inspected(lab: Lab) -> Any:
    """What `inspect` says of the container box."""
    return json.loads(plumb(lab, "inspect", "box"))[0]


def folder(lab: Lab) -> Path:
    """The folder of the container box."""
    return Path(lab.root, "containers", inspected(lab)["Id"])


def pids(lab: Lab) -> tuple[int, int]:
    """The pids of the container box's command and of its shim, 0 for what does not run."""
    return commands.alive(str(folder(lab)))


# -- what a command sees ---------------------------------------------------------------


def test_a_command_sees_files_of_its_own(net: Lab) -> None:
    """/etc/hosts, /etc/hostname and /etc/resolv.conf are the container's, and so is its host name.

    The host's are as before.
    """
    mine = Path("/etc/hosts").read_text()
    printed = run(
        net,
        "-h",
        "web",
        "--dns",
        "192.0.2.53",
        "sh",
        "-c",
        "uname -n; cat /etc/hostname /etc/resolv.conf /etc/hosts",
    )
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[:2] == ["web", "web"]
    assert "10.9.0.2 web" in lines
    assert any(line.startswith("nameserver ") for line in lines)
    assert Path("/etc/hosts").read_text() == mine
    assert os.uname().nodename != "web"


def test_a_command_has_its_own_network_and_sysfs(net: Lab) -> None:
    """It sees its own links, in /sys as well, and the host's cgroups."""
    printed = run(
        net, "sh", "-c", "ls /sys/class/net; ip -4 -br addr show eth0; ls /sys/fs/cgroup | wc -l"
    )
    assert printed.split()[:3] == ["eth0", "lo", "eth0@if2"] or printed.split()[:2] == [
        "eth0",
        "lo",
    ]
    assert "10.9.0.2/24" in printed
    assert printed.splitlines()[-1] == str(len(os.listdir("/sys/fs/cgroup")))


def test_its_mounts_are_its_own(net: Lab) -> None:
    """What is mounted for a command is mounted for nobody else."""
    before = labs.mounts()
    run_detached(net, "sleep", "1000")
    seen = Path(f"/proc/{pids(net)[0]}/mountinfo").read_text()
    assert " /etc/hosts " in seen
    assert [path for path in labs.mounts() if path not in before] == [
        f"{net.root}/netns/{inspected(net)['Id'][:12]}"
    ]


def test_a_command_has_a_plain_environment_and_what_is_given(net: Lab) -> None:
    """-e NAME=VALUE sets, -e NAME passes the caller's on.

    Else there are PATH, HOME, HOSTNAME and TERM alone.
    """
    printed = run(net, "-h", "web", "-e", "COLOUR=deep blue", "-e", MARK, "env")
    found = dict(line.split("=", 1) for line in printed.splitlines())
    assert (found.pop("COLOUR"), found.pop(MARK), found["HOSTNAME"], found["HOME"]) == (
        "deep blue",
        str(net.root),
        "web",
        "/root",
    )
    assert set(found) <= {"PATH", "HOME", "HOSTNAME", "TERM"}


THE_LIBRARYS = 3 << 31
"""Signals 32 and 33 are the C library's own (nptl(7)).

It lets nobody set what becomes of them, so they are whatever they were.
"""


def test_a_command_ignores_no_signal_that_its_caller_does_not(net: Lab) -> None:
    """An interpreter ignores SIGPIPE and SIGXFSZ, which its command would go on with.

    `yes | head -1` would end with an error.
    """
    show = ["grep", "SigIgn", "/proc/self/status"]
    run_detached(net, "sh", "-c", f"{' '.join(show)}; exec sleep 1000")
    log = folder(net) / "log"
    until(lambda: "SigIgn" in printed_so_far(log), "it has said it")
    ignored = {
        int(line.split()[1], 16) & ~THE_LIBRARYS
        for line in (run(net, *show), plumb(net, "exec", "box", *show), printed_so_far(log))
    }
    assert ignored == {0}


# -- what it may do ---------------------------------------------------------------


def own_bounding_set() -> int:
    """What this process could give away at most."""
    return int(
        next(
            line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("CapBnd")
        ),
        16,
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), DOCKERS),
        (("--cap-drop", "ALL"), 0),
        (("--cap-drop", "CHOWN"), DOCKERS & ~(1 << CHOWN)),
        (("--cap-add", "NET_ADMIN"), DOCKERS | 1 << NET_ADMIN),
        (("--cap-drop", "ALL", "--cap-add", "NET_ADMIN"), 1 << NET_ADMIN),
        (("--cap-add", "CAP_NET_ADMIN"), DOCKERS | 1 << NET_ADMIN),
        (("--privileged",), -1),
        (("--cap-add", "ALL"), -1),
    ],
)
def test_capabilities_are_what_docker_would_give(
    flags: tuple[str, ...], expected: int, net: Lab
) -> None:
    """Permitted, effective and bounding set are Docker's default, less what is dropped, and what is
    added; all with --privileged."""
    printed = run(net, *flags, "grep", "-E", "Cap(Prm|Eff|Bnd)", "/proc/self/status")
    assert {int(line.split()[1], 16) for line in printed.splitlines()} == {
        expected & own_bounding_set()
    }


def test_without_net_admin_the_network_cannot_be_changed(net: Lab) -> None:
    """The default capabilities do not suffice to change an address, NET_ADMIN does."""
    change = ("ip", "link", "set", "eth0", "down")
    assert "not permitted" in run(net, *change, status=2)
    run(net, "--cap-add", "NET_ADMIN", *change)


# -- how it ends ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("no-such-command",), 127),
        (("/etc",), 126),
    ],
)
def test_the_exit_status_of_run_is_the_commands(
    command: tuple[str, ...], status: int, net: Lab
) -> None:
    """In the foreground.

    The command's own, 128 + N for signal N, 127 where there is no such command, 126 where it cannot
    run.
    """
    run(net, *command, status=status)
    assert plumb(net, "ps", "-aq") == ""


def test_the_exit_status_is_recorded(net: Lab) -> None:
    """After a run in the foreground without --rm, `inspect` knows the command and how it ended."""
    assert tried(net, "run", "--name", "box", "--network", "net", "sh", "-c", "exit 3")[0] == 3
    found = inspected(net)
    assert (found["State"]["Status"], found["State"]["ExitCode"]) == ("exited", 3)


def test_the_exit_status_is_recorded_where_sigchld_is_ignored(net: Lab) -> None:
    """As by a program that uses the library and waits for none of its children."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with net.host() as opened:
            opened.run("box", network="net", command=["sh", "-c", "exit 7"])
    finally:
        signal.signal(signal.SIGCHLD, before)
    until(lambda: inspected(net)["State"]["Status"] == "exited", "it has ended")
    assert inspected(net)["State"]["ExitCode"] == 7


def test_a_detached_command_that_cannot_start_leaves_nothing(net: Lab) -> None:
    """run -d of a command that there is not.

    An error, exit status 125, and the host is as before.
    """
    run(net, "true")  # the folders for namespaces and containers are there
    before = host(net)
    status, printed = tried(
        net, "run", "-d", "--name", "box", "--network", "net", "no-such-command"
    )
    assert (status, "no-such-command" in printed) == (125, True), printed
    assert host(net) == before
    assert plumb(net, "ps", "-aq") == ""


def test_a_command_that_ends_by_itself_stops_its_container(net: Lab) -> None:
    """Its exit code is in `inspect`, its endpoint is released, and its address free for the
    next."""
    run_detached(net, "sh", "-c", "exit 7")
    until(lambda: inspected(net)["State"]["Status"] == "exited", "the container stops")
    assert inspected(net)["State"]["ExitCode"] == 7
    with net.host() as known:
        assert known.endpoints(known.network("net")) == []
        assert known.check() == []
    assert "veth" not in labs.sh("ip -br link")
    assert "10.9.0.2/24" in run(net, "ip", "-4", "-br", "addr", "show", "eth0")


def test_with_rm_a_command_that_ends_takes_its_container_along(net: Lab) -> None:
    """run -d --rm: nothing is left when the command has ended."""
    run(net, "true")
    before = host(net)
    run_detached(net, "--rm", "true")
    until(lambda: plumb(net, "ps", "-aq") == "", "the container goes")
    assert host(net) == before


FAMILY = "setsid sh -c 'sleep 1001 & exec sleep 1002' & (setsid sleep 1003 &) ; exec sleep 1004"


@pytest.mark.parametrize("end", [("stop", "box"), ("rm", "-f", "box"), ("reset", "--force")])
def test_nothing_that_a_command_started_outlives_it(end: tuple[str, ...], net: Lab) -> None:
    """stop, rm -f and reset end the command and its descendants, daemons in sessions of their own
    among them."""
    run_detached(net, "sh", "-c", FAMILY)
    until(
        lambda: sum("sleep 100" in line for line in marked(net).values()) == 4,
        "all of the family run",
    )
    plumb(net, *end)
    until(lambda: not marked(net), f"all have ended: {marked(net)}")


def test_a_command_that_exits_takes_its_daemons_along(net: Lab) -> None:
    """A daemon does not outlive the command that started it, as it would not outlive a container's
    first process."""
    run_detached(net, "sh", "-c", "setsid sleep 1001 & sleep 0.05")
    until(lambda: inspected(net)["State"]["Status"] == "exited", "the container stops")
    until(lambda: not marked(net), f"all have ended: {marked(net)}")


@pytest.mark.parametrize("end", [("stop", "box"), ("rm", "-f", "box"), ("reset", "--force")])
def test_what_was_started_by_exec_ends_with_the_container(end: tuple[str, ...], net: Lab) -> None:
    """A command that came by `exec` goes when the container stops, as in Docker."""
    run_detached(net, "sleep", "1000")
    beside = fork_plumb(net, "exec", "-e", MARK, "box", "sleep", "1001")
    until(lambda: "sleep 1001" in str(marked(net)), "exec runs it")
    plumb(net, *end)
    try:
        until(lambda: os.waitpid(beside, os.WNOHANG)[0], "the exec ends")
    except AssertionError:
        os.kill(beside, signal.SIGKILL)
        os.waitpid(beside, 0)
        raise


# -- exec ---------------------------------------------------------------


def test_exec_sees_what_the_command_sees(net: Lab) -> None:
    """exec is in the command's namespaces.

    What the command has mounted is there, and its files and host name.
    """
    run_detached(
        net,
        "--privileged",
        "-h",
        "web",
        "sh",
        "-c",
        "mount -t tmpfs none /mnt && touch /mnt/here && sleep 1000",
    )
    until(
        lambda: tried(net, "exec", "box", "test", "-e", "/mnt/here")[0] == 0,
        "the command has mounted",
    )
    assert plumb(net, "exec", "box", "cat", "/etc/hostname") == "web\n"
    links = [f"/proc/{{}}/ns/{kind}" for kind in ("mnt", "net", "uts")]
    mine = plumb(net, "exec", "box", "readlink", *(link.format("self") for link in links)).split()
    assert mine == [os.readlink(link.format(pids(net)[0])) for link in links]
    assert not Path("/mnt/here").exists()


@pytest.mark.parametrize(
    ("command", "status"),
    [(("true",), 0), (("sh", "-c", "exit 5"), 5), (("no-such-command",), 127), (("/etc",), 126)],
)
@pytest.mark.parametrize("own", [(), ("sleep", "1000")])
def test_the_exit_status_of_exec_is_the_commands(
    own: tuple[str, ...], command: tuple[str, ...], status: int, net: Lab
) -> None:
    """With a command of the container's own beside it or without: the same statuses as for run."""
    run_detached(net, *own)
    assert tried(net, "exec", "box", *command)[0] == status


def test_exec_may_do_what_the_command_may(net: Lab) -> None:
    """exec has the container's capabilities, or all with --privileged, and its environment besides
    what is given."""
    run_detached(net, "--cap-drop", "ALL", "-e", "COLOUR=blue", "sleep", "1000")
    assert int(plumb(net, "exec", "box", "grep", "CapEff", "/proc/self/status").split()[1], 16) == 0
    allowed = int(
        plumb(net, "exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status").split()[1],
        16,
    )
    assert allowed == own_bounding_set()
    assert plumb(net, "exec", "-e", "SIZE=9", "box", "sh", "-c", "echo $COLOUR $SIZE") == "blue 9\n"


def test_exec_needs_a_running_container(net: Lab) -> None:
    """exec in a stopped container is an error."""
    run_detached(net)
    plumb(net, "stop", "box")
    status, printed = tried(net, "exec", "box", "true")
    assert (status, "is not running" in printed) == (1, True), printed


# -- kill -9 and restart ---------------------------------------------------------------


def test_a_killed_shim_takes_its_command_along_and_check_says_so(net: Lab) -> None:
    """kill -9 of the shim ends the command; `check` names it, `repair` stops the container."""
    run_detached(net, "sleep", "1000")
    command, shim = pids(net)
    os.kill(shim, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{command}/exe"), "the command ends")
    status, printed = tried(net, "check")
    assert (status, "missing: process sleep 1000" in printed) == (1, True), printed
    plumb(net, "repair")
    assert tried(net, "check") == (0, "")
    assert (inspected(net)["State"]["Status"], inspected(net)["State"]["ExitCode"]) == (
        "exited",
        137,
    )
    plumb(net, "start", "box")
    assert pids(net)[0]


def test_daemons_of_a_killed_shim_are_ended_with_the_container(net: Lab) -> None:
    """What the command left behind when its shim was killed goes with `rm -f`."""
    run_detached(net, "sh", "-c", FAMILY)
    until(
        lambda: sum("sleep 100" in line for line in marked(net).values()) == 4,
        "all of the family run",
    )
    os.kill(pids(net)[1], signal.SIGKILL)
    plumb(net, "rm", "-f", "box")
    until(lambda: not marked(net), f"all have ended: {marked(net)}")


def test_a_killed_foreground_run_takes_its_command_along(net: Lab) -> None:
    """kill -9 of a run in the foreground ends the command; a reset finds nothing left of it."""
    runner = fork_plumb(
        net, "run", "--rm", "--name", "box", "--network", "net", "-e", MARK, "sleep", "1000"
    )
    until(lambda: "sleep 1000" in str(marked(net)), "the command runs")
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    plumb(net, "reset", "--force")
    until(lambda: not marked(net), f"the command ends: {marked(net)}")


def test_restart_starts_the_command_anew(net: Lab) -> None:
    """restart ends the command and starts another.

    The container keeps its name, and the network works.
    """
    run_detached(net, "sleep", "1000")
    old = pids(net)
    plumb(net, "restart", "box")
    new = pids(net)
    assert new[0] not in (0, *old)
    assert {pid for pid, command in marked(net).items() if "plumb.agent" not in command} == set(new)
    assert tried(net, "check") == (0, "")
    plumb(net, "exec", "box", "ping", "-q", "-c1", "-W10", "10.9.0.1")


def netns_of(lab: Lab) -> int:
    """The inode of the container's network namespace."""
    with lab.host() as known:
        return os.stat(known.namespace(known.container("box"))).st_ino


def test_restart_in_an_operation_of_many_starts_the_command_anew(net: Lab) -> None:
    """Another process in another namespace, as Docker makes it."""
    run_detached(net, "sleep", "1000")
    old, namespace = pids(net), netns_of(net)
    with net.host() as known, known.operation() as transaction:
        transaction.restart("box")
        transaction.create_network("other")
    assert pids(net)[0] not in (0, *old)
    assert netns_of(net) != namespace
    assert tried(net, "check") == (0, "")
    plumb(net, "exec", "box", "ping", "-q", "-c1", "-W10", "10.9.0.1")
    plumb(net, "exec", "box", "getent", "hosts", "box.net")


def test_a_dry_run_of_restart_prints_both_halves(net: Lab) -> None:
    """All the commands that restart prints as it takes the steps, and nothing has changed."""
    run_detached(net, "sleep", "1000")
    before = pids(net)
    planned = plumb(net, "restart", "--dry-run", "box").splitlines()
    assert pids(net) == before
    *shown, name = plumb(net, "restart", "--show-commands", "box").splitlines()
    assert name == "box"
    assert [verbs(line) for line in planned] == [verbs(line) for line in shown]
    assert any(line.startswith("kill ") for line in planned)
    assert any("setsid sh -c" in line for line in planned)


def verbs(line: str) -> list[str]:
    """A command's words but for those that are random."""
    return re.sub(
        r"veth[0-9a-f]{7}|([0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9a-f]{12,64}|\d{4,5}", "X", line
    ).split()


def test_repair_settles_a_foreground_run_that_was_killed(net: Lab) -> None:
    """kill -9 of `run` in the foreground leaves the container running with nobody in it.

    Repair stops it.
    """
    child = fork_plumb(
        net,
        "run",
        "--name",
        "box",
        "--network",
        "net",
        "-e",
        MARK,
        "sleep",
        "1000",
        env={MARK: str(net.root)},
    )
    until(lambda: "sleep 1000" in " ".join(marked(net).values()), "the command runs")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    end_all(net)
    until(lambda: not marked(net), "the command is gone")
    plumb(net, "repair")

    assert inspected(net)["State"]["Status"] == "exited"
