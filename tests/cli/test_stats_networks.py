"""plumb stats on an overlay: its containers' interfaces, and what went between the hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plumb.lab.hosts import LabHost
from tests.host.swarm_hosts import pings, run, swarm
from tests.waiting import until

pytestmark = pytest.mark.needs("vxlan")


def rows(host: LabHost, *words: str) -> list[Any]:
    """What `stats` says there."""
    return [json.loads(line) for line in host.plumb("stats", "--json", *words).stdout.splitlines()]


def test_tunnels_count_what_goes_to_the_other_host() -> None:
    """Ten pings of a thousand bytes: of the container, and of the VXLAN link; not of others."""
    with swarm(2) as (one, two):
        run(one, "c1")
        run(one, "c3")
        run(two, "c2")
        until(lambda: pings(one, "c1", "c2"), "c1 reaches c2")
        ends, tunnels = rows(one), rows(one, "--networks", "n1")
        one.plumb("exec", "c1", "ping", "-q", "-c10", "-i0.01", "-s1000", "c2")
        one.plumb("exec", "c1", "ping", "-q", "-c10", "-i0.01", "-s1000", "c3")

        [before], [after] = tunnels, rows(one, "--networks", "n1")
        assert [after[key] for key in ("Network", "Vni", "Interface", "Peers")] == [
            *("n1", 4097, "vxlan0", 1)
        ]
        for way in ("Rx", "Tx"):
            assert 10_000 < after[f"{way}Bytes"] - before[f"{way}Bytes"] < 15_000
        there = {(row["Container"], row["Network"]): row for row in ends}
        now = {(row["Container"], row["Network"]): row for row in rows(one)}
        assert now["c1", "n1"]["TxBytes"] - there["c1", "n1"]["TxBytes"] > 20_000
        assert "ingress" in one.plumb("stats", "--networks").stdout
        said = one.plumb("stats", "--networks", "bridge", check=False).stderr
        assert "on this host alone" in said
