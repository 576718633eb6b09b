"""What a look costs where there are few containers and where there are many.

Command lines in forks of this process, which has all imported. What asks about one container or one
network must not take longer among many; what lists or compares all does. `matrix`, which sends
probes for each pair, is measured apart, with fewer containers."""

from __future__ import annotations

from functools import partial

from plumb import Host
from plumb.kernel.netns.namespaces import entered
from tests.bench.bulk import cleaned, fill, namespaces_now
from tests.bench.figures import Report, timed, warmed
from tests.labs import Lab, lab

SECTION = "a look"
LINES = {
    "inspect, one": ["inspect", "guest"],
    "network inspect, of one": ["network", "inspect", "home"],
    "network inspect, of half": ["network", "inspect", "crowd0"],
    "port, one": ["port", "guest"],
    "trace, from one to another": ["trace", "guest", "other"],
    "probe, from one to another": ["probe", "guest", "other"],
    "explain, one": ["explain", "guest"],
    "network ls": ["network", "ls"],
    "ps": ["ps"],
    "check": ["check"],
}
RESET = "reset"
ABOUT_ONE = tuple(LINES)[:4]
"""Rows that should not grow."""


def measure(report: Report, few: int, many: int, wanted: int, seconds: float) -> None:
    """The lines on two hosts in turn, and at the end their resets."""
    columns = {count: f"{count:,} containers" for count in (few, many)}
    table = report.section(SECTION, *columns.values())
    before = namespaces_now()
    with lab() as quiet, lab() as busy, quiet.host() as first, busy.host() as second:
        hosts = [(quiet, first, few), (busy, second, many)]
        for place, host, count in hosts:
            _fill(place, host, count)
        for number in warmed(wanted, seconds):
            for row, words in LINES.items():
                for place, _, count in hosts:
                    with entered(place.netns):
                        took = timed(partial(place.plumb, *words))
                    if number:  # the first round fills the kernel's caches
                        table.add(row, columns[count], took)
        for place, host, count in hosts:
            with entered(place.netns):
                table.add(RESET, columns[count], timed(host.reset))
    cleaned(before)
    for row in ABOUT_ONE:
        small, large = (table.median(row, column) for column in columns.values())
        report.target(f"{row}, with {many:,} to {few:,}", large / small, 1.5, "times")


def _fill(place: Lab, host: Host, count: int) -> None:
    """Two crowds, as a bridge has 1,023 ports at most, and two more containers."""
    with entered(place.netns):
        for half in range(2):
            host.create_network(f"crowd{half}", subnet=f"172.{30 + half}.0.0/16")
            fill(place, f"crowd{half}", count // 2, half * count)
        host.create_network("home", subnet="172.29.0.0/16")
        for name in ("guest", "other"):
            host.run(name, network="home")
