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
from tests.host.test_killed import CASES, build, duration, kill_after, next_command_works
from tests.host.trial_hosts import MARK, end_all, fork_plumb, host, marked, plumb, tried, wait_until
from tests.labs import Lab, lab

SEED = int(os.environ.get("PLUMB_TESTS_SEED", "20251121"))
AGENT, WARM = "the agent", "the warm process"
OTHERS = (AGENT, WARM)


def run(count: int) -> dict[str, int]:
    """Kill so many times; how often what was killed.

    Raises:
        AssertionError: something could not be made good, with the seed and the moment.
    """
    chance, killed = random.Random(SEED), dict.fromkeys([*CASES, *OTHERS], 0)
    os.environ[MARK] = ""
    with lab() as place, entered(place.netns):
        before = host(place)
        try:
            took = {}
            for name, case in CASES.items():
                took[name] = duration(place, case)
                plumb(place, "reset", "--force")
            for number in range(count):
                name = chance.choice(list(CASES))
                case = CASES[name]
                tried(place, *case.after)
                build(place, case)
                victim = chance.choice([name, name, name, *OTHERS])
                moment = chance.uniform(0, 1.1 * took[name])
                about = f"seed {SEED}, kill {number}: {victim} {moment * 1000:.1f} ms into {name}"
                if victim == name:
                    kill_after(moment, fork_plumb(place, *case.victim))
                    killed[victim] += 1
                else:
                    killed[victim] += _kill_another(place, victim, moment, case.victim)
                next_command_works(place, case, about)
                if number % 25 == 24:
                    plumb(place, "reset", "--force")
                    wait_until(lambda: not marked(place), f"{about}: processes end", 60)
                    assert host(place) == before, about
        finally:
            end_all(place)
    return killed


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
