"""plumb stats: what went through, and which connections there are, as the kernel counts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from plumb.kernel.netns.namespaces import entered
from plumb.views.stats import size
from tests import REPOSITORY
from tests.labs import INTERNET, Lab, within
from tests.programs import line, running


def measured(lab: Lab, *argv: str) -> list[dict[str, Any]]:
    """The rows as a program gets them."""
    return [json.loads(line) for line in lab.plumb("stats", "--json", *argv).stdout.splitlines()]


@pytest.fixture
def pair(lan: Lab) -> Lab:
    """web on shop and back, db on back."""
    lan.plumb("network", "create", "--subnet", "172.20.0.0/24", "shop")
    lan.plumb("network", "create", "--internal", "--subnet", "172.21.0.0/24", "back")
    lan.plumb("run", "-d", "--name", "web", "--network", "shop")
    lan.plumb("network", "connect", "back", "web")
    lan.plumb("run", "-d", "--name", "db", "--network", "back")
    return lan


def test_a_row_for_each_endpoint(pair: Lab) -> None:
    """In the order in which containers and their networks were made."""
    assert [(row["Container"], row["Network"], row["Interface"]) for row in measured(pair)] == [
        ("web", "shop", "eth0"),
        ("web", "back", "eth1"),
        ("db", "back", "eth0"),
    ]


def test_a_container_by_name(pair: Lab) -> None:
    """Only its own."""
    assert {row["Container"] for row in measured(pair, "db")} == {"db"}
    assert "No such container: nobody" in pair.plumb("stats", "nobody", status=1).stderr


def test_bytes_and_packets_are_counted(pair: Lab) -> None:
    """Ten pings of a thousand bytes, and their answers; the other network has none of them."""
    before = {row["Interface"]: row for row in measured(pair, "web")}
    pair.plumb("exec", "web", "ping", "-q", "-c10", "-i0.01", "-s1000", INTERNET)
    after = {row["Interface"]: row for row in measured(pair, "web")}

    assert after["eth0"]["TxBytes"] - before["eth0"]["TxBytes"] >= 10 * 1042
    assert after["eth0"]["RxPackets"] - before["eth0"]["RxPackets"] >= 10
    assert after["eth1"]["TxBytes"] - before["eth1"]["TxBytes"] < 1042


def test_connections_by_state(pair: Lab) -> None:
    """A listener and a connection in the container; the same connection, as the host tracks it."""
    with entered(pair.lan):
        server = socket.create_server(("0.0.0.0", 7777))
    with (
        server,
        entered(f"{pair.root}/netns/{short_id(pair, 'web')}"),
        socket.create_server(("0.0.0.0", 8888)),
        socket.create_connection((INTERNET, 7777)),
    ):
        row = measured(pair, "web")[0]

    assert row["Connections"]["tcp"]["ESTABLISHED"] == 1
    assert row["Connections"]["tcp"]["LISTEN"] >= 1
    assert row["Tracked"] == {"tcp": {"ESTABLISHED": 1}}


def test_a_flow_that_nobody_answers(pair: Lab) -> None:
    """A datagram into the void is a tracked flow without a reply."""
    within(pair.lan, "iptables -A INPUT -p udp -j DROP")
    with (
        entered(f"{pair.root}/netns/{short_id(pair, 'web')}"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.sendto(b"?", (INTERNET, 7777))
        row = measured(pair, "web")[0]
    assert row["Tracked"] == {"udp": {"UNREPLIED": 1}}


def test_a_table_for_people(pair: Lab) -> None:
    """With headings, amounts with units, and a dash where there is nothing."""
    heading, first, *_ = pair.plumb("stats").stdout.splitlines()
    assert heading.split()[:5] == ["CONTAINER", "NETWORK", "INTERFACE", "RECEIVED", "SENT"]
    assert first.split()[:3] == ["web", "shop", "eth0"]
    assert "packets" in first


def test_watching_tells_rates_until_it_is_interrupted(pair: Lab) -> None:
    """The second time there is something to compare with."""
    env = {**os.environ, "PLUMB_ROOT": str(pair.root), "PYTHONPATH": str(REPOSITORY)}
    with running(
        [sys.executable, "-m", "plumb", "stats", "--watch", "--interval", "0.2", "db"],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as watching:
        lines = [line(watching) for _ in range(4)]
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=20)
    assert "packets/s" not in lines[1]
    assert "packets/s" in lines[3]


@pytest.mark.parametrize(
    ("octets", "words"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1234567, "1.23MB"), (5e15, "5PB")],
)
def test_amounts(octets: float, words: str) -> None:
    """Three digits and a unit, as Docker writes them."""
    assert size(octets) == words


def short_id(lab: Lab, name: str) -> str:
    """A container's id, as its namespace's file is called."""
    found: str = json.loads(lab.plumb("inspect", name).stdout)[0]["Id"]
    return found[:12]
