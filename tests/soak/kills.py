"""Kills: SIGKILL at a random moment, and the next command must make good what was left.

The victims: every verb, the agent while a verb runs, the warm process while a command runs in it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

from plumb.kernel.netns.namespaces import entered
from plumb.kernel.process import shim
from tests import REPOSITORY
from tests.host import test_killed
from tests.host.test_killed import (
    BUILDS,
    REMOVE,
    Case,
    build,
    duration,
    kill_after,
    next_command_works,
)
from tests.host.trial_hosts import MARK, end_all, fork_plumb, host, marked, plumb, tried
from tests.labs import Lab, lab, sh
from tests.waiting import until

SEED = int(os.environ.get("PLUMB_TESTS_SEED", "20251121"))
AGENT, WARM = "the agent", "the warm process"
OTHERS = (AGENT, WARM)


CASES = {
    **test_killed.CASES,
    "create": Case(0, BUILDS["made"], ("base",), ("rm", "-f", "made")),
    "start": Case(0, ("start", "made"), ("base", "made"), ("rm", "-f", "made")),
    "stop": Case(0, ("stop", "-t", "5", "box"), ("base", "box"), REMOVE),
    "exec": Case(0, ("exec", "box", "sleep", "0.1"), ("base", "box")),
    "network disconnect": Case(
        0, ("network", "disconnect", "base", "box"), ("base", "box"), REMOVE
    ),
    "network rm": Case(0, ("network", "rm", "extra"), ("extra",)),
    "network prune": Case(0, ("network", "prune", "-f"), ("base", "box", "extra")),
    "repair": Case(0, ("repair",), ("base", "box", "ports"), ("repair",)),
    "check": Case(0, ("check",), ("base", "box", "ports")),
    "trace": Case(0, ("trace", "host", "box"), ("base", "box")),
    "probe": Case(0, ("probe", "--listen", "host", "box:80"), ("base", "box")),
    "matrix": Case(0, ("matrix", "-W", "0.2"), ("base", "box")),
    "agent stop": Case(0, ("agent", "stop"), ("base", "ports"), ("repair",)),
    "inspect": Case(0, ("inspect", "box"), ("base", "box")),
    "ps": Case(0, ("ps",), ("base", "box")),
    "port": Case(0, ("port", "ports"), ("base", "ports")),
    "stats": Case(0, ("stats", "box"), ("base", "box")),
}
"""Every verb that does something, with the options that make it work hardest."""
DAMAGE = "ip link del plumb0; iptables -F; iptables -t nat -F; sysctl -qw net.ipv4.ip_forward=0"


def run(count: int, cases: dict[str, Case] = CASES) -> dict[str, int]:
    """Kill until so many kills have hit; how often what was hit.

    A line is printed after each reset.

    Args:
        count: kills that hit what they were meant for, before it had ended.
        cases: the commands, by name.

    Raises:
        AssertionError: something could not be made good, with the seed and the moment.
    """
    chance, killed = random.Random(SEED), dict.fromkeys([*cases, *OTHERS], 0)
    os.environ[MARK] = ""
    with lab() as place, entered(place.netns):
        before, number = host(place), 0
        try:
            took = {name: _duration(place, case) for name, case in cases.items()}
            while sum(killed.values()) < count:
                name = chance.choice(list(cases))
                case, victim = cases[name], chance.choice([name, name, name, *OTHERS])
                moment = chance.uniform(0, 1.1 * took[name])
                about = f"seed {SEED}, kill {number}: {victim} {moment * 1000:.1f} ms into {name}"
                killed[victim] += _one_kill(place, case, victim, moment)
                next_command_works(place, case, about)
                number += 1
                if number % 25 == 0:
                    plumb(place, "reset", "--force")
                    until(lambda: not marked(place), f"{about}: processes end", 60)
                    assert host(place) == before, about
                    print(_progress(number, killed), flush=True)
        finally:
            end_all(place)
    return killed


def _progress(attempts: int, killed: dict[str, int]) -> str:
    """Line about a run that goes on, whose figures count if it is cut off."""
    others = ", ".join(f"{name} {killed[name]} times" for name in OTHERS)
    return f"{attempts} tried, {sum(killed.values())} hit ({others}); all is good after a reset"


def _duration(place: Lab, case: Case) -> float:
    """Duration of a case on a root of its own, in seconds."""
    try:
        return duration(place, case)
    finally:
        plumb(place, "reset", "--force")


def _one_kill(place: Lab, case: Case, victim: str, moment: float) -> int:
    """Build what a case needs, run it, and kill; how many processes it hit."""
    tried(place, *case.after)
    build(place, case)
    if case.victim == ("repair",):
        sh(DAMAGE, check=False)
    if victim in OTHERS:
        return _kill_another(place, victim, moment, case.victim)
    return kill_after(moment, fork_plumb(place, *case.victim))


def _kill_another(place: Lab, victim: str, moment: float, argv: tuple[str, ...]) -> int:
    """Kill the agent, or the warm process under it, while a command line runs; how many it was.

    The command is a real one: only that asks the warm process.
    """
    environment = {**os.environ, "PLUMB_ROOT": str(place.root), "PYTHONPATH": str(REPOSITORY)}
    command = subprocess.Popen(
        [sys.executable, "-m", "plumb", *argv],
        env={**environment, "PLUMB_CONFIG": "", MARK: str(place.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    time.sleep(moment)
    agents = [pid for pid, words in marked(place).items() if "plumb.agent" in words]
    warm = [pid for agent in agents for pid in shim.descendants(agent)]
    ended = 0
    for pid in agents if victim == AGENT else warm:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            ended += 1
    command.wait()
    return ended
