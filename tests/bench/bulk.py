"""Many endpoints in one operation, beside the floor.

The least that the system's own tools take for the same.

plumb's figure is all that an operation does: planning, the journal, the containers' files, the
kernel, the record, and waiting until the cables carry packets. The floor's is the kernel's part
alone (see `floor`): its input is ready beforehand, and it writes neither files nor records. So the
comparison is in the floor's favour."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plumb import Host
from plumb.kernel.netns import namespaces
from plumb.plan import Step
from tests import REPOSITORY
from tests.bench import floor
from tests.bench.at_rest import at_rest
from tests.bench.figures import Report, Section, rounds, timed
from tests.bench.netns import DISK, MEMORY, beneath
from tests.labs import Lab, lab

PLUMB, ON_DISK, FLOOR, ABREAST = "plumb", "plumb, root on disk", "floor", "floor, on all processors"


def measure(report: Report, sizes: dict[int, int], seconds: float) -> None:
    """For each size: plumb and the floor in turn, each on a fresh host."""
    table = report.section("in bulk, per endpoint", PLUMB, ON_DISK, FLOOR, ABREAST)
    parts = report.section("of which the floor, per endpoint", *floor.PARTS)
    for size, wanted in sizes.items():
        for _ in rounds(wanted, seconds):
            _round(table, parts, size)
    *_, small, large = [_label(size) for size in sizes]
    mine, growth = (
        table.median(large, PLUMB),
        table.median(large, PLUMB) / table.median(small, PLUMB),
    )
    report.target(
        f"bulk of {large}, per endpoint, to the floor's on one processor",
        mine / table.median(large, FLOOR),
        0.4,
        "times",
    )
    report.target(
        "the same, to the floor's on all processors at once",
        mine / table.median(large, ABREAST),
        1,
        "times",
    )
    report.target(f"bulk of {large}, per endpoint, to that of {small}", growth, 1.1, "times")
    kernel = table.median(large, FLOOR) / table.median(small, FLOOR)
    report.target(
        "the same growth, to the floor's own "
        "(the kernel's: each port of a bridge makes the next one dearer)",
        growth,
        1.05 * kernel,
        "times",
    )
    report.remarks.append(
        "the floor: ip -batch, nsenter and iptables-restore, "
        "its input made from plumb's own steps; the same links, "
        "addresses, routes, rules, sysctls and namespaces; "
        "no files, no record, no waiting for carrier; "
        "all state is kept in memory, but where it says disk"
    )


def _label(size: int) -> str:
    return f"{size:,} endpoints"


def _round(table: Section, parts: Section, size: int) -> None:
    before = namespaces_now()
    for column, folder in ((ON_DISK, DISK), (PLUMB, MEMORY)):
        steps: list[Sequence[Step]] = []
        with beneath(folder), lab() as ours, ours.host(on_steps=steps.append) as host:
            host.create_network("crowd", subnet="172.30.0.0/16")
            at_rest()
            table.add(_label(size), column, timed(partial(populate, host, "crowd", size)) / size)
            root, built = str(ours.root), floor.counts(ours)
            dismantle(ours)
        cleaned(before)
    for column, abreast in ((FLOOR, False), (ABREAST, True)):
        with lab() as other:
            work = floor.Floor(other, root, steps, abreast)
            at_rest()
            took = {part: timed(task) / size for part, task in work.tasks.items()}
            table.add(_label(size), column, sum(took.values()))
            for part, share in took.items():
                if not abreast:
                    parts.add(_label(size), part, share)
            same = floor.counts(other)
            assert same == built, f"the floor has not built the same: {same}, plumb {built}"
            dismantle(other)
        cleaned(before)


def populate(host: Host, network: str, size: int, first: int = 0) -> None:
    """So many containers on a network, in one operation; their names count from that number."""
    with host.operation() as verbs:
        for number in range(first, first + size):
            verbs.run(f"c{number}", network=network)


def fill(place: Lab, network: str, size: int, first: int = 0) -> None:
    """The same by a process of its own.

    What it would do in the background afterwards, announcing them, ends with it.
    """
    script = (
        "from plumb import Host; from tests.bench.bulk import populate; "
        f"populate(Host({str(place.root)!r}, settings={{}}), {network!r}, {size}, {first})"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)


def dismantle(place: Lab) -> None:
    """Let go of a lab's containers all at once, and leave it to the kernel to take them down."""
    for path in (place.root / "netns").glob("*"):
        namespaces.drop(str(path))


def namespaces_now() -> int:
    """How many network namespaces the kernel holds; 0 where it does not say."""
    try:
        lines = Path("/proc/slabinfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("net_namespace ")), 0)


SLACK = 40
"""Somebody else on the machine may have made a few."""


def cleaned(before: int, seconds: float = 10, slack: int = SLACK) -> None:
    """Wait until the kernel, which takes namespaces down in the background, is done.

    The next figure shall not pay for it.
    """
    deadline = time.monotonic() + seconds
    while namespaces_now() > before + slack and time.monotonic() < deadline:
        time.sleep(0.05)
