"""What a command line takes from the first to the last, with an agent there.

By the compiled launcher and in a fork of the warm process, by Python in a fork, and by itself.

The same commands in turn on the same lab host, as from a shell: the time is that of the program's
whole life. By itself is the launcher with `PLUMB_WARM=0`: what a command takes without a warm
process, which is also what it takes without an agent. The limits are what a Docker Engine took on
a machine where a bare interpreter starts in 9 to 11 ms: its row says how this machine compares.

The interpreter is that of the checkout, where plumb is an entry of sys.path more than in a user's
installation: nothing is imported at its start that would not be there as well."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from plumb.kernel import agent_socket
from plumb.kernel.process import shim
from tests.bench.figures import Report, rounds, timed
from tests.labs import Lab, lab
from tests.prefork.prefork_lab import install_launcher
from tests.waiting import until

LAUNCHED, WARM, COLD, RATIO = "launcher", "warm", "by itself", "by itself, to warm"
BARE = "python, nothing else"
READS = ("network ls", "ps", "inspect")
OVER_BARE = 54
"""Milliseconds that each of these may take by itself, beyond what a bare interpreter takes: half of
what they took once."""
LIMITS = {
    "network create": 44,
    "run -d -p": 45,
    "network connect": 28,
    "exec true": 30,
    "ps": 18,
    "network ls": 18,
    "inspect": 18,
    "network disconnect": 75,
    "rm -f": 60,
}
"""Milliseconds that each may take at most, by the launcher."""
LINES = {
    "network create": ["network", "create", "n"],
    "run -d -p": ["run", "-d", "-p", "80", "--name", "c1", "--network", "home"],
    "network connect": ["network", "connect", "n", "c1"],
    "exec true": ["exec", "c1", "true"],
    "ps": ["ps"],
    "network ls": ["network", "ls"],
    "port": ["port"],
    "inspect": ["inspect", "c1"],
    "network disconnect": ["network", "disconnect", "n", "c1"],
    "rm -f": ["rm", "-f", "c1"],
    "network rm": ["network", "rm", "n"],
}


def measure(report: Report, wanted: int, seconds: float) -> None:
    """The commands in turn, warm and not."""
    table = report.section("a command line, with an agent", LAUNCHED, WARM, COLD, RATIO)
    with lab() as place, tempfile.TemporaryDirectory() as folder:
        launched = replace(place, launcher=install_launcher(Path(folder)))
        place.command("network", "create", "home")
        place.command("run", "-d", "-p", "80", "--name", "other", "--network", "home")
        warm_up(place)
        for _ in range(2):  # it is known from its second command on
            launched.command("ps")
            warm_up(place)
        for _ in rounds(wanted, seconds):
            for column, one, env in (
                (LAUNCHED, launched, {}),
                (WARM, place, {}),
                (COLD, launched, {"PLUMB_WARM": "0"}),
            ):
                for row, words in LINES.items():
                    table.add(row, column, timed(partial(one.command, *words, env=env)))
            table.add(BARE, COLD, timed(_start_python))
        for row in LINES:
            table.add(row, RATIO, table.median(row, COLD) / table.median(row, WARM))
        place.command("reset", "--force")
    for row, limit in LIMITS.items():
        report.target(f"plumb {row}, by the launcher", table.median(row, LAUNCHED), limit)
    bare = table.median(BARE, COLD)
    for row in READS:
        took = table.median(row, COLD) - bare
        report.target(f"plumb {row}, by itself, over a bare interpreter", took, OVER_BARE)


def _start_python() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def warm_up(place: Lab) -> None:
    """Have the agent start its warm process, and wait until that is ready."""
    place.command("ps")
    agent = agent_socket.running(str(place.root))[0]
    ready = ["plumb-warm", "plumb-spare"]
    until(lambda: _titles(agent) == ready, "the warm process and its spare fork")


def _titles(agent: int) -> list[str]:
    """Titles of an agent's processes; a fork has its parent's until it has set its own.

    The number of commands behind the server's is left out.
    """
    with suppress(OSError):  # one has ended meanwhile
        return [Path(f"/proc/{p}/comm").read_text().split()[0] for p in shim.descendants(agent)]
    return []
