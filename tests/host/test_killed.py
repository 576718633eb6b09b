"""kill -9: a command that dies at any moment leaves what the next command, or a reset, can make
good.

Nobody catches SIGKILL; what helps is the journal, written before the kernel is touched. Each test
kills one command many times, at moments spread over the time that it really takes, and asks after
each that the next command works; every tenth time all is reset, and the host must look as if plumb
had never been there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.netns.namespaces import entered
from tests import REPOSITORY, labs
from tests.host.trial_hosts import MARK, end_all, fork_plumb, host, marked, plumb
from tests.labs import Lab
from tests.programs import running
from tests.sampling import share
from tests.waiting import until

SEED = int(os.environ.get("PLUMB_TESTS_SEED", "20251121"))
QUICK = ("-o", "com.docker.network.advertise_addr_ms=100")
COMMAND = ("-e", MARK, "sleep", "1000")


@dataclass(frozen=True)
class Case:
    """A command to kill; what must be there for it.

    The next command, which undoes it whether it was carried out or not.
    """

    kills: int
    victim: tuple[str, ...]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ("network", "prune", "-f")


BUILDS = {
    "base": ("network", "create", "base", *QUICK),
    "other": ("network", "create", "other", *QUICK),
    "extra": ("network", "create", "extra", *QUICK),
    "box": ("run", "-d", "--name", "box", "--network", "base", *COMMAND),
    "alone": ("run", "-d", "--name", "alone", "--network", "none", *COMMAND),
    "ports": ("run", "-d", "--name", "ports", "--network", "base", "-p", "8080:80", "-p", "53/udp"),
    "made": ("create", "--name", "made", "--network", "base", "-p", "8082:80", *COMMAND),
}
REMOVE = ("rm", "-f", "box")
CASES = {
    "the first command on a root": Case(20, BUILDS["base"]),
    "network create": Case(30, ("network", "create", "extra", "--ipv6", *QUICK), ("base", "box")),
    "run without a command": Case(35, BUILDS["box"][: -len(COMMAND)], ("base",), REMOVE),
    "run with a command": Case(45, BUILDS["box"], ("base",), REMOVE),
    "run with published ports": Case(40, BUILDS["ports"], ("base",), ("rm", "-f", "ports")),
    "rm -f with published ports": Case(
        30, ("rm", "-f", "ports"), ("base", "ports"), ("rm", "-f", "ports")
    ),
    "network connect": Case(
        30, ("network", "connect", "other", "box"), ("base", "other", "box"), REMOVE
    ),
    "restart": Case(40, ("restart", "box"), ("base", "box")),
    "restart without a network": Case(15, ("restart", "alone"), ("alone",)),
    "rm -f": Case(40, REMOVE, ("base", "box"), REMOVE),
    "reset": Case(10, ("reset", "--force"), ("base", "box"), REMOVE),
}


@pytest.fixture(autouse=True)
def _nothing_runs_on(lab: Lab) -> Iterator[None]:
    yield
    end_all(lab)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_killed_command_leaves_nothing_that_cannot_be_made_good(name: str, lab: Lab) -> None:
    """After kill -9 at any moment the next command works, and reset leaves the host as it was."""
    case, chance = CASES[name], random.Random(f"{SEED} {name}")
    print(f"seed {SEED}")
    before = host(lab)
    took = duration(lab, case)
    kills = share(case.kills)
    for number in range(kills):
        build(lab, case)
        moment = chance.uniform(0, 1.1 * took)
        kill_after(moment, fork_plumb(lab, *case.victim))
        about = f"{name}, kill {number} after {moment * 1000:.1f} ms of {took * 1000:.1f} ms"
        next_command_works(lab, case, about)
        if number % 10 == 9 or number == kills - 1:
            plumb(lab, "reset", "--force")
            until(lambda: not marked(lab), f"{about}: processes end: {marked(lab)}")
            assert host(lab) == before, about


def build(lab: Lab, case: Case) -> None:
    """What the command needs, as far as it is not there.

    Nothing at all for the first command on a root.
    """
    with lab.host() as known:
        there = {net.name for net in known.networks()} | {box.name for box in known.containers()}
    if not case.needs:
        plumb(lab, "reset", "--force")
    for name in case.needs:
        if name not in there:
            plumb(lab, *BUILDS[name])


def duration(lab: Lab, case: Case) -> float:
    """How long the command takes when nobody kills it."""
    took = []
    for _ in range(3):
        build(lab, case)
        start = time.monotonic()
        plumb(lab, *case.victim)
        took.append(time.monotonic() - start)
        plumb(lab, *case.after)
    return median(took)


def kill_after(seconds: float, pid: int) -> bool:
    """Kill a process; false if it had ended before."""
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def next_command_works(lab: Lab, case: Case, about: str) -> None:
    """The next command succeeds, and leaves a host on which all is as recorded."""
    try:
        plumb(lab, *case.after)
        plumb(lab, "check")
    except AssertionError as error:
        raise AssertionError(f"{about}: {error}") from error


@pytest.mark.slow
def test_a_killed_repair_can_be_repeated(lab: Lab) -> None:
    """A repair that is killed at any moment is finished by the next.

    The host is then as it was before the damage.
    """
    chance = random.Random(SEED)
    for name in ("base", "box"):
        plumb(lab, *BUILDS[name])
    before, took = labs.state(), 0.0
    for number in range(15):
        labs.sh(
            "ip link del plumb0; iptables -F; iptables -t nat -F; iptables -t raw -F; "
            "sysctl -qw net.ipv4.ip_forward=0"
        )
        start = time.monotonic()
        repair = fork_plumb(lab, "repair")
        if number:
            kill_after(chance.uniform(0, 1.1 * took), repair)
            plumb(lab, "repair")
        else:
            os.waitpid(repair, 0)
            took = time.monotonic() - start
        plumb(lab, "check")
        assert labs.state() == before, f"kill {number}"


@pytest.fixture
def _older_iptables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An iptables whose rules iptables-restore has to write."""
    monkeypatch.setattr(IptablesRestore, "version", lambda restore: (1, 8, 7))
    backends.writer.cache_clear()
    yield
    backends.writer.cache_clear()


@pytest.mark.usefixtures("_older_iptables")
def test_what_a_killed_command_has_set_off_is_waited_for(lab: Lab, tmp_path: Path) -> None:
    """An iptables-restore that outlives its killed plumb has ended before the next command looks at
    the kernel."""
    plumb(lab, "network", "create", "base")
    asked, slow = tmp_path / "asked", tmp_path / "iptables-restore"
    slow.write_text(
        f'#!/bin/sh\ntouch {asked}\nsleep 0.5\nexec {shutil.which("iptables-restore")} "$@"\n'
    )
    slow.chmod(0o755)
    victim = fork_plumb(
        lab, "network", "create", "extra", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    until(asked.exists, "the command comes to the firewall")
    kill_after(0, victim)
    plumb(lab, "network", "create", "next")
    until(lambda: not marked(lab), "iptables-restore ends")
    plumb(lab, "check")
    plumb(lab, "network", "prune", "-f")
    assert "-i br-" not in labs.sh("iptables-save")


MANY = """
from plumb import Host
with Host({root!r}) as host, host.operation() as tx:
    for number in range({count}):
        tx.run(f"c{{number}}", network="base")
"""


@pytest.mark.slow
def test_a_killed_operation_on_many_containers_leaves_all_or_nothing(lab: Lab) -> None:
    """A program that builds them by the library, and the next one that uses the root."""
    chance, count = random.Random(f"{SEED} many"), 70
    print(f"seed {SEED}")
    program = [sys.executable, "-c", MANY.format(root=str(lab.root), count=count)]
    build(lab, CASES["network connect"])
    took = []
    for number in range(share(10) + 1):
        start = time.monotonic()
        with entered(lab.netns), running(program, cwd=REPOSITORY) as builder:
            if number == 0:
                assert builder.wait() == 0
                took.append(time.monotonic() - start)
            else:
                time.sleep(chance.uniform(0.3, 1) * took[0])
        with lab.host() as known:
            known.revive()
            built = [box.name for box in known.containers() if box.name != "box"]
            assert len(built) in (0, count), number
            assert known.check() == [], number
            with known.operation() as tx:
                for name in built:
                    tx.remove(name, force=True)
