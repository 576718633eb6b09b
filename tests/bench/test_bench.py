"""The benches themselves still run; how fast they find plumb to be is for `make bench` to say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import REPOSITORY
from tests.bench import at_scale, cli, matrix, observers, parts, picture, ports

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ROWS = {
    "one at a time": {
        *("network create", "run -d", "network connect", "rm -f", "network rm", "run -d -p")
    },
    parts.SECTION: {
        *(part for _, _, part in parts.POINTS),
        *("file", "firewall", "namespace", "netlink", "sysctl"),
        *(parts.REST, parts.PROCESSOR, parts.CLOCK, parts.FLOOR),
    },
    "nothing to change": {
        "plumb network ls",
        "python, nothing else",
        "import plumb",
        "from plumb import Host",
    },
    "a command line, with an agent": {*cli.LINES, cli.BARE},
    "in bulk, per endpoint": {"10 endpoints", "50 endpoints"},
    "of which the floor, per endpoint": {"10 endpoints", "50 endpoints"},
    "one more, by the library": {"connect", "disconnect", at_scale.BATCH, at_scale.CABLE},
    observers.SECTION: {*observers.LINES, observers.RESET},
    matrix.SECTION: {matrix.WHOLE, matrix.EACH},
    "one more published port": {
        f"{what}, {name}" for name in ports.FIREWALLS for what in ("publish", "take back")
    },
    "through a published port, bulk, MiB/s": {"bulk, one connection"},
    "through a published port, short, connections/s": {"32 at once"},
    "DNS, 4 clients, answers/s": {"names of the zone", "one name with 100 addresses", "forwarded"},
    "DNS, the agent's memory, KiB": {
        "no sandbox",
        "1 sandbox, each asked once",
        "50 sandboxes, each asked once",
    },
    "overlay: from run on one host to a ping from another": {"2 hosts"},
    "overlay: containers that join, per second": {"2 hosts"},
    "overlay: a manager's requests to etcd, per container, number": {"2 hosts"},
    "overlay: CPU of cluster processes, per container": {"2 hosts"},
    "overlay: memory of a node, PSS, MiB": {"manager of 2 hosts", "worker of 2 hosts"},
    "overlay: one TCP connection, MiB/s": {"32 MiB"},
    "services: short connections, 32 at once, per second": {"iptables", "nftables"},
    "services: a task goes from the balancer, or comes": {"iptables", "nftables"},
    "one more container": {
        "up, with 1 there",
        "down, with 1 there",
        "up, with 9 there",
        "down, with 9 there",
    },
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """What `python -m tests.bench --quick` prints, and the figures that it writes."""
    figures = tmp_path_factory.mktemp("bench") / "figures.json"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json", str(figures)],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout, json.loads(figures.read_text())


def test_the_table_has_every_row(quick: tuple[str, Any]) -> None:
    """Every section and every row of the table is printed."""
    printed = [line.strip() for line in quick[0].splitlines()]
    for section, rows in ROWS.items():
        for words in (section, *rows):
            assert any(line.startswith(words) for line in printed), words


def test_every_figure_was_measured(quick: tuple[str, Any]) -> None:
    """The figures are those of the table, each with samples that took some time."""
    found: dict[str, set[str]] = {}
    for figure in quick[1]["figures"]:
        found.setdefault(figure["section"], set()).add(figure["row"])
        assert min(figure["samples"]) > 0, figure
    assert found == ROWS


def test_parts_are_drawn(quick: tuple[str, Any]) -> None:
    """Each part of a container has its bar, the dearest the longest."""
    drawn = picture.bars(quick[1]["figures"], parts.RUN)
    assert len(drawn) == len(ROWS[parts.SECTION]) - 3
    assert drawn[0].count("#") == picture.WIDTH


def test_every_target_has_its_line(quick: tuple[str, Any]) -> None:
    """Each target is printed, with whether it was reached."""
    targets = quick[1]["targets"]
    assert len(targets) == 40
    for target in targets:
        assert f"{'reached' if target['reached'] else 'MISSED '}  {target['target']}" in quick[0]


def test_it_refuses_the_machines_own_network() -> None:
    """Without a namespace of its own it says how to get one, and measures nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={},
    )
    assert ran.returncode == 1
    assert "make" in ran.stderr
    assert ran.stdout == ""
