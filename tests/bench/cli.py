"""What a command line takes from the first to the last, with an agent there.

In a fork of the warm process, and by itself.

The same commands in turn on the same lab host, as from a shell: the time is that of the program's
whole life. `PLUMB_WARM=0` is what they take without a warm process, which is also what they take
without an agent."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

from plumb.kernel import agent_socket
from plumb.kernel.process import shim
from tests.bench.figures import Report, rounds, timed
from tests.labs import Lab, lab
from tests.waiting import until

WARM, COLD, RATIO = "warm", "by itself", "by itself, to warm"
LIMITS = {"network create": 50, "network connect": 60, "run -d -p": 80, "network ls": 40}
"""Milliseconds that each may take at most."""
LINES = {
    "network create": ["network", "create", "n"],
    "run -d -p": ["run", "-d", "-p", "80", "--name", "c1", "--network", "home"],
    "network connect": ["network", "connect", "n", "c1"],
    "exec true": ["exec", "c1", "true"],
    "ps": ["ps"],
    "network ls": ["network", "ls"],
    "port": ["port"],
    "rm -f": ["rm", "-f", "c1"],
    "network rm": ["network", "rm", "n"],
}


def measure(report: Report, wanted: int, seconds: float) -> None:
    """The commands in turn, warm and not."""
    table = report.section("a command line, with an agent", WARM, COLD, RATIO)
    with lab() as place:
        place.command("network", "create", "home")
        place.command("run", "-d", "-p", "80", "--name", "other", "--network", "home")
        warm_up(place)
        for _ in rounds(wanted, seconds):
            for column, env in ((WARM, {}), (COLD, {"PLUMB_WARM": "0"})):
                for row, words in LINES.items():
                    table.add(row, column, timed(partial(place.command, *words, env=env)))
        for row in LINES:
            table.add(row, RATIO, table.median(row, COLD) / table.median(row, WARM))
        place.command("reset", "--force")
    for row, limit in LIMITS.items():
        report.target(f"plumb {row}, warm", table.median(row, WARM), limit)


def warm_up(place: Lab) -> None:
    """Have the agent start its warm process, and wait until that is ready."""
    place.command("ps")
    agent = agent_socket.running(str(place.root))[0]
    ready = ["plumb-warm", "plumb-spare"]
    until(lambda: _titles(agent) == ready, "the warm process and its spare fork")


def _titles(agent: int) -> list[str]:
    """Titles of an agent's processes; a fork has its parent's until it has set its own."""
    with suppress(OSError):  # one has ended meanwhile
        return [Path(f"/proc/{p}/comm").read_text().strip() for p in shim.descendants(agent)]
    return []
