"""`plumb trace` to a service: the balancer, the task that was chosen, and why there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from plumb.drivers.services.by_iptables import REST
from plumb.plan import Step
from plumb.things.layer3 import Address
from tests import labs
from tests.host.service_hosts import VIP, ServiceHost, published_site
from tests.probes.conftest import Typed, typed

__all__ = ["typed"]
pytestmark = pytest.mark.needs("vxlan")
BACKENDS = [
    pytest.param("iptables", marks=pytest.mark.needs("statistic")),
    pytest.param("nftables", marks=pytest.mark.needs("nft_numgen")),
]
TO_VIP = f"c1 {VIP.ip}:80"


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """Two tasks of web on n1, their port 80 published as 8080, and a client c1."""
    with published_site(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def served(site: ServiceHost) -> None:
    """Each test begins with both tasks in service."""
    site.balance(site.service())
    site.balance(site.published())


def traced(site: ServiceHost, typed: Typed, line: str) -> dict[str, Any]:
    """The report of a trace, as --json tells."""
    found: dict[str, Any] = json.loads(typed(site.lab, f"trace --json {line}")[1])
    return found


def test_the_balancer_and_the_task_are_on_the_path(site: ServiceHost, typed: Typed) -> None:
    """By the service's name: its rules with their reasons, and the task's interface."""
    found = traced(site, typed, "c1 web:80")
    task = re.search(r"chosen: (web\d) at", found["Choice"][1])
    assert task is not None
    places = {step["Place"] for step in found["There"]}
    assert places == {"c1", "overlay n1", "balancer n1", task[1]}
    reasons = {step["Why"] for step in found["There"] if step["Kind"] == "rule"}
    assert reasons & {"whoever has this mark goes to this task", REST}
    assert found["Good"]


def test_the_choice_is_told(site: ServiceHost, typed: Typed) -> None:
    """Means, mark, algorithm and weights; the task; connection tracking's entry."""
    means, chosen, entry = traced(site, typed, TO_VIP)["Choice"]
    assert means.startswith("service web: rules of the firewall in balancer n1, mark 0x100, rr")
    assert means.endswith("in turn: web1 (weight 1), web2 (weight 1)")
    address = re.fullmatch(r"chosen: web\d at (\S+), on this host", chosen)
    assert address is not None
    assert f"answers {address[1]}:80 > " in entry
    assert "\nchosen: web" in typed(site.lab, f"trace {TO_VIP}")[1]


def test_connections_take_turns(site: ServiceHost, typed: Typed) -> None:
    """Two traces, two tasks."""
    found = {traced(site, typed, TO_VIP)["Choice"][1] for _ in range(2)}
    assert len(found) == 2


def test_a_refusal_is_the_tasks(site: ServiceHost, typed: Typed) -> None:
    """It is told which one refused, though connection tracking has forgotten the connection."""
    found = traced(site, typed, f"c1 {VIP.ip}:81")
    assert re.match(r"chosen: web\d at", found["Choice"][1])
    assert re.match(r"nobody listens at port 81/tcp in web\d", found["Cause"]["Says"])


def test_a_published_port_leads_to_a_task(site: ServiceHost, typed: Typed) -> None:
    """From outside, by the ingress network's balancer."""
    found = traced(site, typed, f"{site.lab.lan} {labs.HOST_IP}:8080")
    assert "in balancer ingress, mark 0x101" in found["Choice"][0]
    assert re.match(r"chosen: web\d at 10\.0\.0\.", found["Choice"][1])
    assert found["Good"]


def test_all_tasks_are_drained(site: ServiceHost, typed: Typed) -> None:
    """The cause tells them, and where their state is told."""
    site.balance(site.service(backends=site.backends("n1", web1=0, web2=0)))
    cause = traced(site, typed, TO_VIP)["Cause"]
    assert cause["Id"] == "no-task-with-weight"
    assert [reading.split(" at ")[0] for reading in cause["Evidence"]] == [
        "balancer n1: web1",
        "balancer n1: web2",
    ]


def test_there_is_no_task(site: ServiceHost, typed: Typed) -> None:
    """A service that was scaled to nothing."""
    site.balance(site.service(backends=()))
    cause = traced(site, typed, TO_VIP)["Cause"]
    assert (cause["Id"], cause["Remedies"]) == ("no-task", ["plumb service scale web=1"])


def test_the_virtual_address_is_gone(site: ServiceHost, typed: Typed) -> None:
    """From the balancer, which nobody finds then."""
    things = site.host.store.things()
    address = next(each for each in things if isinstance(each, Address) and each.ip.ip == VIP.ip)
    site.host.kernel.take([Step(address, None)])
    labs.within(site.inside("c1"), "ip neigh flush all")
    try:
        cause = traced(site, typed, f"--wait 0.3 {TO_VIP}")["Cause"]
    finally:
        site.host.repair()
    assert cause["Id"] == "no-virtual-address"
    assert cause["Remedies"] == ["plumb repair"]
