"""`python -m tests.bench`: measure, print one table, say which targets were reached."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import labs
from tests.bench import (
    agent_memory,
    at_scale,
    bulk,
    cli,
    competitors,
    dns,
    matrix,
    observers,
    overlay,
    parts,
    ports,
    proxy,
    services,
    single,
)
from tests.bench.figures import Report
from tests.bench.netns import MEMORY, beneath


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: of what is short; bulk_rounds: by size.
        few, many: how many endpoints are there when one more connects.
        observed: how many containers are there when somebody looks.
        tried: how many are there when all promises are tried, few and many.
        present: how many containers the other tools have to live with.
        ports: how many are published when one more is.
        mebibytes, connections: sent through a port, and made to it, in one round.
        sandboxes: that have a DNS server.
        nodes: of the clusters with an overlay network, each of so many hosts.
        seconds: after which no part begins another round.
    """

    rounds: int
    bulk_rounds: dict[int, int]
    few: int
    many: int
    observed: int
    tried: tuple[int, int]
    present: int
    ports: int
    mebibytes: int
    connections: int
    sandboxes: int
    nodes: tuple[int, ...]
    seconds: float


FULL = Extent(
    rounds=15,
    bulk_rounds={10: 7, 100: 5, 1000: 3},
    few=10,
    many=1000,
    observed=2000,
    tried=(40, 80),
    present=99,
    ports=500,
    mebibytes=1024,
    connections=5000,
    sandboxes=1000,
    nodes=(2, 10, 50),
    seconds=30,
)
QUICK = Extent(
    rounds=2,
    bulk_rounds={10: 1, 50: 1},
    few=10,
    many=50,
    observed=40,
    tried=(3, 6),
    present=9,
    ports=20,
    mebibytes=32,
    connections=100,
    sandboxes=50,
    nodes=(2,),
    seconds=2,
)


def measure(extent: Extent) -> Report:
    """The whole of it."""
    report = Report()
    single.measure(report, extent.rounds, extent.seconds)
    parts.measure(report, extent.rounds, extent.seconds)
    agent_memory.measure(report, extent.rounds, extent.seconds)
    cli.measure(report, extent.rounds, 2 * extent.seconds)
    bulk.measure(report, extent.bulk_rounds, 2 * extent.seconds)
    at_scale.measure(report, extent.few, extent.many, extent.rounds, extent.seconds)
    observers.measure(report, extent.few, extent.observed, extent.rounds, extent.seconds)
    matrix.measure(report, *extent.tried, extent.rounds, extent.seconds / 3)
    ports.measure(report, extent.ports, extent.rounds, 2 * extent.seconds)
    proxy.measure(report, extent.mebibytes, extent.connections, extent.rounds, extent.seconds)
    dns.measure(report, extent.sandboxes, extent.rounds, extent.seconds)
    overlay.measure(report, extent.nodes, 6 * extent.rounds, extent.mebibytes, 2 * extent.seconds)
    services.measure(report, extent.connections, extent.rounds, extent.seconds)
    competitors.measure(report, extent.present, extent.rounds, extent.seconds)
    return report


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="How long things take."
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rounds and small sizes: does it all still run?"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--backend",
        choices=("nf_tables", "legacy"),
        help="the firewall to write (default: the host's)",
    )
    asked = parser.parse_args()
    try:
        labs.refuse_the_machine()
    except pytest.exit.Exception as refused:
        sys.exit(str(refused))
    if asked.backend:
        os.environ["PLUMB_IPTABLES"] = asked.backend
    begun = time.monotonic()
    with beneath(MEMORY):
        report = measure(QUICK if asked.quick else FULL)
    report.remarks.append(
        f"measured in {time.monotonic() - begun:.0f} s, on {os.cpu_count()} processors"
        + (", quickly: too few rounds to judge by" if asked.quick else "")
    )
    sys.stdout.write(report.text() + "\n")
    if asked.json:
        Path(asked.json).write_text(json.dumps(report.plain(), indent=1) + "\n")


if __name__ == "__main__":
    main()
