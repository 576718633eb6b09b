"""Hosts with many containers and ports: a diagnosis takes a time that grows with them, no faster.

What is counted is how often a rule is held against packets, and not seconds.
"""

from __future__ import annotations

from collections.abc import Container
from ipaddress import ip_address, ip_interface

import pytest

from plumb.doctor.checks import nat, ports
from plumb.model.diagnosis.snapshot import ContainerState, EndState, NamespaceState, Snapshot
from plumb.model.foreign_firewall import FirewallRule, Fit, Traffic
from plumb.model.netns_state import Listener
from plumb.model.ports import Port
from tests.doctor.made import SHOP, chain, rule

MANY = 300


def test_a_published_port_is_held_against_the_rules_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many rules as ports each is asked once; one that names no port, for each of them."""
    asked = []
    fit = FirewallRule.fit

    def counted(self: FirewallRule, traffic: Traffic) -> Fit:
        asked.append(self)
        return fit(self, traffic)

    monkeypatch.setattr(FirewallRule, "fit", counted)
    boxes = tuple(_box(f"c{port}", port) for port in range(1, MANY + 1))
    rules = [
        rule("-j DNAT", "accept", {"l4proto": "tcp", "dport": str(port)}) for port in range(2, MANY)
    ]
    some = rule("-j DNAT", "accept", {"l4proto": "udp"})
    ranged = rule("-j DNAT", "accept", {"l4proto": "tcp", "dport": f"{MANY}-{MANY + 9}"})
    host = NamespaceState("host", chains=(chain("DOCKER", *rules, some, ranged, table="nat"),))
    found = list(nat.not_rewritten(Snapshot(host, (), boxes, (SHOP,))))
    assert [each.about[0] for each in found] == ["c1"]
    assert len(asked) <= 3 * MANY


@pytest.mark.parametrize("served", [False, True])
def test_the_row_of_a_port_is_looked_at_once(served: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with thousands of ports: not for each port again, whoever listens there."""
    looked: list[int] = []
    row = ports._row

    def noted(own: Container[int], port: int) -> range:
        looked.append(port)
        return row(own, port)

    monkeypatch.setattr(ports, "_row", noted)
    box = _box("media", *range(1, MANY + 1))
    one = (Listener("tcp", ip_address("0.0.0.0"), 3),) if served else ()
    space = NamespaceState("media", listeners=one)
    found = list(ports.behind(Snapshot(NamespaceState("host"), (space,), (box,), (SHOP,))))
    words = f"nobody listens at any of the published ports 1-{MANY}/tcp of media"
    assert [each.subject for each in found] == ([] if served else [words])
    assert looked == [1]


def _box(name: str, *numbers: int) -> ContainerState:
    """A container on shop with published ports."""
    published = tuple(Port(port, "tcp", ip_address("0.0.0.0"), port) for port in numbers)
    end = EndState("n", "", ip_interface("172.20.0.2/24"), None, published)
    return ContainerState(name, "docker", name, (end,))
