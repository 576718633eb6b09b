"""200 services on 20 networks with 100 published ports, beside one operation of the library."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plumb import Host
from plumb.compose import carry_out
from plumb.compose.carry_out import UpOptions
from tests.compose import project
from tests.labs import Lab

SERVICES, NETWORKS, PORTS = 200, 20, 100


def places(number: int) -> tuple[int, int]:
    """The two networks of a service."""
    return number % NETWORKS, (number + 7) % NETWORKS


def text() -> str:
    """The file."""
    lines = ["services:"]
    for number in range(SERVICES):
        first, second = places(number)
        lines += [f"  s{number}:", f"    networks: [n{first}, n{second}]"]
        lines += [f"    ports: ['{20000 + number}:80']"] if number < PORTS else []
    subnets = "{{ipam: {{config: [{{subnet: 10.{}.0.0/24}}]}}}}"
    lines += ["networks:", *(f"  n{at}: {subnets.format(at)}" for at in range(NETWORKS))]
    return "\n".join(lines)


def bulk(host: Host) -> None:
    """The same by the library."""
    with host.operation() as operation:
        for at in range(NETWORKS):
            operation.create_network(f"n{at}", subnet=f"10.{at}.0.0/24")
        for number in range(SERVICES):
            operation.run(
                f"s{number}",
                network=[f"n{at}" for at in places(number)],
                publish=[f"{20000 + number}:80"] if number < PORTS else [],
            )


def took(act: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    act()
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.alone
def test_a_large_file_costs_little_more_than_one_operation(lab: Lab, tmp_path: Path) -> None:
    """The second up changes nothing, down leaves nothing; the figures are printed."""
    with lab.host() as host:
        large = project(tmp_path, text())
        up = took(lambda: carry_out.up(host, large, UpOptions()))
        again = took(lambda: carry_out.up(host, large, UpOptions()))
        assert carry_out.up(host, large, UpOptions()).none
        assert len(host.containers()) == SERVICES
        down = took(lambda: carry_out.down(host, large))
        assert host.containers() == []
        beside = took(lambda: bulk(host))
        host.reset()
    print(f"up {up:.1f} s, bulk {beside:.1f} s, again {again:.1f} s, down {down:.1f} s")
    assert up < 2 * beside + 1
