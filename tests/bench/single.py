"""One network, one container, one connection.

What each costs, by the library and by the command line.

The library's host is kept open, as in a lab script; the command line is a new process each time, as
in a shell. Each has a lab host of its own, and they take turns."""

from __future__ import annotations

from plumb.kernel.netns.namespaces import entered
from tests.bench.figures import Report, rounds, timed
from tests.labs import lab

LIBRARY, COMMAND = "library", "command line"


def measure(report: Report, wanted: int, seconds: float) -> None:
    """Network create, run -d, connect, rm -f."""
    table = report.section("one at a time", LIBRARY, COMMAND)
    with lab() as ours, lab() as theirs, entered(ours.netns), ours.host() as host:

        def command(*argv: str) -> float:
            with entered(theirs.netns):
                return timed(lambda: theirs.command(*argv))

        host.create_network("home")
        command("network", "create", "home")
        for _ in rounds(wanted, seconds):
            table.add("network create", LIBRARY, timed(lambda: host.create_network("n")))
            table.add("network create", COMMAND, command("network", "create", "n"))
            table.add("run -d", LIBRARY, timed(lambda: host.run("c", network="home")))
            table.add("run -d", COMMAND, command("run", "-d", "--name", "c1", "--network", "home"))
            table.add("network connect", LIBRARY, timed(lambda: host.connect("n", "c")))
            table.add("network connect", COMMAND, command("network", "connect", "n", "c1"))
            table.add("rm -f", LIBRARY, timed(lambda: host.remove("c", force=True)))
            table.add("rm -f", COMMAND, command("rm", "-f", "c1"))
            table.add("network rm", LIBRARY, timed(lambda: host.remove_network("n")))
            table.add("network rm", COMMAND, command("network", "rm", "n"))
        host.reset()
        command("reset", "--force")
