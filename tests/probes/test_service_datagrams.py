"""`plumb matrix` of a host with services whose ports of UDP every host publishes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.frozen import replace
from plumb.kernel.system import this_system
from plumb.model.ports import ServicePort
from plumb.plan import Step
from plumb.things.iptables import Rule
from tests.host.service_hosts import ServiceHost, service_host
from tests.probes.conftest import Typed
from tests.probes.test_service_promises import tried

pytestmark = pytest.mark.needs("vxlan", "statistic")
FREE, TAKEN = ServicePort(81, 8081, "udp"), ServicePort(80, 5353, "udp")


@pytest.fixture(scope="module")
def site() -> Iterator[ServiceHost]:
    """Two tasks of web: a program of theirs has UDP port 80, and none has 81."""
    system = replace(this_system(), has_ipvs=lambda: False)
    with service_host(system) as made:
        made.join()
        made.start(2, "n1", "ingress", ports=(FREE, TAKEN))
        made.balance(made.published(ports=(FREE, TAKEN)))
        yield made


def verdicts(site: ServiceHost, typed: Typed, port: int) -> set[tuple[str, str]]:
    """Client and verdict of each promise about a port."""
    found = tried(site, typed, kind="service", port=port, protocol="udp")
    return {(each["from"], each["verdict"]) for each in found}


def test_a_port_of_udp_is_promised_to_the_host_and_the_world(
    site: ServiceHost, typed: Typed
) -> None:
    """Whether plumb answers in the tasks, or a program of theirs does."""
    for port in (FREE, TAKEN):
        kept = {("(host)", "kept"), ("(world)", "kept")}
        assert verdicts(site, typed, port.published) == kept
    assert {
        set(each["observed"]) == {"web1", "web2"}
        for each in tried(site, typed, kind="service", port=FREE.published)
    } == {True}


def test_a_port_of_udp_that_is_closed_breaks_the_promise(site: ServiceHost, typed: Typed) -> None:
    things = [thing for thing in site.host.store.things() if isinstance(thing, Rule)]
    door = next(each for each in things if "--dport 8081" in each.spec and "DNAT" in each.spec)
    site.host.kernel.take([Step(door, None)])
    try:
        found = verdicts(site, typed, FREE.published)
    finally:
        site.host.repair()
    assert ("(world)", "broken") in found
