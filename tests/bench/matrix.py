"""What it takes to try all promises: they are as many as pairs of containers, and real traffic.

With 2,000 containers there would be fourteen million, for an hour. So it is measured with few,
where one promise must not take longer among many. From 30 containers on, only a part of the names
is asked for, with any number the same."""

from __future__ import annotations

from functools import partial

from plumb.kernel.netns.namespaces import entered
from tests.bench.bulk import cleaned, fill, namespaces_now
from tests.bench.figures import Report, timed, warmed
from tests.labs import Lab, lab

SECTION = "matrix, all promises"
WHOLE, EACH = "matrix", "one promise"


def measure(report: Report, few: int, many: int, wanted: int, seconds: float) -> None:
    """The matrix of two hosts in turn."""
    columns = {count: f"{count:,} containers" for count in (few, many)}
    table = report.section(SECTION, *columns.values())
    before = namespaces_now()
    with lab() as small, lab() as large, small.host() as first, large.host() as second:
        hosts = [(small, first, few), (large, second, many)]
        for place, host, count in hosts:
            with entered(place.netns):
                host.create_network("crowd", subnet="172.30.0.0/16")
                fill(place, "crowd", count)
        for number in warmed(wanted, seconds):
            for place, _, count in hosts:
                tried: list[int] = []
                took = timed(partial(_try_all, place, tried))
                if number:
                    table.add(WHOLE, columns[count], took)
                    table.add(EACH, columns[count], took / tried[0])
        for place, host, _ in hosts:
            with entered(place.netns):
                host.reset()
    cleaned(before)
    one, other = (table.median(EACH, column) for column in columns.values())
    report.target(f"a promise, with {many} to {few} containers", other / one, 1.5, "times")


def _try_all(place: Lab, tried: list[int]) -> None:
    """Try all promises, and append how many they are."""
    with entered(place.netns):
        tried.append(len(place.plumb("matrix", "--json").stdout.splitlines()) - 1)
