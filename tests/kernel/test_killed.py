"""kill -9: a command that dies at any moment leaves what the next command, or a reset, can make good.

Nobody catches SIGKILL; what helps is the journal, written before the kernel is touched. Each test kills one command many
times, at moments spread over the time that it really takes, and asks after each that the next command works; every
tenth time all is reset, and the host must look as if plumb had never been there.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from statistics import median

import pytest

from tests import labs
from tests.kernel import MARK, fork_plumb, marked, plumb, wait_until
from tests.labs import Lab

SEED = 20251121
QUICK = ("-o", "com.docker.network.advertise_addr_ms=100")
COMMAND = ("-e", MARK, "sleep", "1000")


@dataclass(frozen=True)
class Case:
    """A command to kill, what must be there for it, and how to be rid of it whether it was carried out or not."""

    kills: int
    victim: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()


WORLD = (("network", "create", "base", *QUICK), ("network", "create", "other", *QUICK))
BOX = ("run", "-d", "--name", "box", "--network", "base", *COMMAND)
GONE = ("rm", "-f", "box")
CASES = {
    "the first command on a root": Case(30, WORLD[0]),
    "network create": Case(30, ("network", "create", "extra", "--ipv6", *QUICK), WORLD, (("network", "prune", "-f"),)),
    "run without a command": Case(35, BOX[:-4], WORLD, (GONE,)),
    "run with a command": Case(45, BOX, WORLD, (GONE,)),
    "network connect": Case(30, ("network", "connect", "other", "box"), (*WORLD, BOX), (GONE,)),
    "rm -f": Case(30, GONE, (*WORLD, BOX), (GONE,)),
    "reset": Case(20, ("reset", "--force"), (*WORLD, BOX), (("reset", "--force"),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_killed_command_leaves_nothing_that_cannot_be_made_good(name: str, lab: Lab) -> None:
    """After kill -9 at any moment the next command works, and reset leaves the host as it was."""
    case, chance = CASES[name], random.Random(f"{SEED} {name}")
    print(f"seed {SEED}")
    before = host(lab)
    build(lab, case)
    took = duration(lab, case)
    plumb(lab, "reset", "--force")
    for number in range(case.kills):
        build(lab, case)
        moment = chance.uniform(0, 1.1 * took)
        kill_after(moment, fork_plumb(lab, *case.victim))
        about = f"{name}, kill {number} after {moment * 1000:.1f} ms of {took * 1000:.1f} ms"
        next_command_works(lab, about)
        if number % 10 == 9:
            plumb(lab, "reset", "--force")
            wait_until(lambda: not marked(lab), f"{about}: processes end: {marked(lab)}")
            assert host(lab) == before, about


def build(lab: Lab, case: Case) -> None:
    """Bring the host to where the command is to be killed: what it needs is there, what it does is not."""
    known = lab.host()
    if known.networks()[2:] and case.undo:
        for argv in case.undo:
            plumb(lab, *argv)
    elif lab.root.exists() and not case.needs:
        plumb(lab, "reset", "--force")
    names = {value.name for value in [*known.networks(), *known.containers()]}
    known.close()
    for argv in case.needs:
        if not names.intersection(argv):
            plumb(lab, *argv)


def duration(lab: Lab, case: Case) -> float:
    """How long the command takes when nobody kills it."""
    took = []
    for _ in range(5):
        build(lab, case)
        start = time.monotonic()
        plumb(lab, *case.victim)
        took.append(time.monotonic() - start)
    return median(took)


def kill_after(seconds: float, pid: int) -> None:
    """Kill a process, unless it has ended before."""
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def next_command_works(lab: Lab, about: str) -> None:
    """One more command succeeds, and leaves a host on which all is as recorded."""
    try:
        plumb(lab, "network", "create", "next", "--internal", *QUICK)
        plumb(lab, "network", "rm", "next")
        plumb(lab, "check")
    except AssertionError as error:
        raise AssertionError(f"{about}: {error}") from error


def host(lab: Lab) -> dict[str, list[str]]:
    """The host as the system's own tools show it, and what lies under the root."""
    left = [str(path) for path in lab.root.rglob("*")] if lab.root.exists() else []
    return {**labs.state(), "mounts": labs.mounts(), "files": left}
