"""One network, one container, one connection.

What each costs, by the library and by the command line.

The library's host is kept open, as in a lab script; the command line is a new process each time, as
in a shell. Each has a lab host of its own, and they take turns."""

from __future__ import annotations

from collections.abc import Callable

from plumb.kernel.netns.namespaces import entered
from tests.bench.at_rest import at_rest
from tests.bench.figures import Report, clocked, rounds
from tests.labs import lab

LIBRARY, COMMAND = "library", "command line"
PUBLISHED = ["8080:80"]


def measure(report: Report, wanted: int, seconds: float) -> None:
    """Network create, run -d, connect, rm -f."""
    table = report.section("one at a time", LIBRARY, COMMAND)
    with lab() as ours, lab() as theirs, entered(ours.netns), ours.host() as host:

        def command(row: str, *argv: str) -> None:
            with entered(theirs.netns):
                at_rest()
                table.add(row, COMMAND, clocked(lambda: theirs.command(*argv)))

        def library(row: str, work: Callable[[], object]) -> None:
            at_rest()
            table.add(row, LIBRARY, clocked(work))

        host.create_network("home")
        host.run("other", network="home")
        with entered(theirs.netns):
            theirs.command("network", "create", "home")
            theirs.command("run", "-d", "--name", "other", "--network", "home")
        for _ in rounds(wanted, seconds):
            library("network create", lambda: host.create_network("n"))
            command("network create", "network", "create", "n")
            library("run -d", lambda: host.run("c", network="home"))
            command("run -d", "run", "-d", "--name", "c1", "--network", "home")
            library("network connect", lambda: host.connect("n", "c"))
            command("network connect", "network", "connect", "n", "c1")
            library("rm -f", lambda: host.remove("c", force=True))
            command("rm -f", "rm", "-f", "c1")
            library("network rm", lambda: host.remove_network("n"))
            command("network rm", "network", "rm", "n")
            library("run -d -p", lambda: host.run("p", network="home", publish=PUBLISHED))
            host.remove("p", force=True)
        host.reset()
        with entered(theirs.netns):
            theirs.command("reset", "--force")
    report.target(
        "run with a published port, by the library", table.median("run -d -p", LIBRARY), 7
    )
