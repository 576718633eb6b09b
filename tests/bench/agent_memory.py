"""What changes nothing: a listing by the command line, and imports, each in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

from tests import REPOSITORY
from tests.bench.figures import Report, rounds, timed
from tests.labs import lab

LISTING, IMPORT, WALL = "plumb network ls", "import plumb", "wall time"
SCRIPTS = {
    "python, nothing else": "pass",
    IMPORT: "import plumb",
    "from plumb import Host": "from plumb import Host",
}


def measure(report: Report, wanted: int, seconds: float) -> None:
    """One new process each."""
    table = report.section("nothing to change", WALL)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def python(script: str) -> None:
        subprocess.run([sys.executable, "-c", script], env=environment, cwd="/", check=True)

    with lab() as ours, ours.host() as host:
        host.create_network("home")
        for _ in rounds(wanted, seconds):
            table.add(LISTING, WALL, timed(lambda: ours.command("network", "ls")))
            for words, script in SCRIPTS.items():
                table.add(words, WALL, timed(partial(python, script)))
        host.reset()
    report.target(LISTING, table.median(LISTING, WALL), 100)
    report.target(f"python -c '{IMPORT}'", table.median(IMPORT, WALL), 60)
