"""Kills: SIGKILL at a random moment, and the next command must make good what was left.

The victims: every verb, the agent while a verb runs, the warm process while a command runs in it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

from plumb.kernel.netns.namespaces import entered
from tests.host.test_killed import CASES, build, duration, kill_after, next_command_works
from tests.host.trial_hosts import MARK, end_all, fork_plumb, host, marked, plumb, tried, wait_until
from tests.labs import lab

SEED = int(os.environ.get("PLUMB_TESTS_SEED", "20251121"))
OTHERS = {"the agent": "plumb.agent", "the warm process": "plumb.prefork.server"}


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
                pid = fork_plumb(place, *case.victim)
                if victim == name:
                    kill_after(moment, pid)
                else:
                    _kill_another(OTHERS[victim], moment, pid, marked(place))
                killed[victim] += 1
                next_command_works(place, case, about)
                if number % 25 == 24:
                    plumb(place, "reset", "--force")
                    wait_until(lambda: not marked(place), f"{about}: processes end", 60)
                    assert host(place) == before, about
        finally:
            end_all(place)
    return killed


def _kill_another(program: str, moment: float, command: int, there: dict[int, str]) -> None:
    """Kill a program of plumb's while a command runs, and let the command end."""
    victims = [pid for pid, words in there.items() if program in words]
    time.sleep(moment)
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.waitpid(command, 0)
