"""Services on a network with IPv6, and ports of UDP that all hosts publish, with real traffic."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Interface, IPv6Network

import pytest

from plumb.frozen import replace
from plumb.model.cnm import Pool
from plumb.model.ports import ServicePort
from tests import labs
from tests.fake_cluster import INGRESS
from tests.host.service_hosts import N1, VIP, ServiceHost, ask, counted
from tests.host.test_services import MEANS, balanced

pytestmark = pytest.mark.needs("vxlan")
BOTH = replace(
    N1, ipv6=True, pools=(Pool(IPv4Network("10.50.0.0/24")), Pool(IPv6Network("fd00:50::/64")))
)
VIP6 = IPv6Interface("fd00:50::100/64")
NAMES = ServicePort(80, 5353, "udp")
EACH = {"web1": 2, "web2": 2}


@pytest.fixture(scope="module", params=MEANS)
def here(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """Two tasks of web on n1, their port 80 of UDP published as 5353, and a client c1."""
    with balanced(request.param, (BOTH, replace(INGRESS, attachable=True))) as made:
        made.join()
        made.start(2, "n1", "ingress", ports=(NAMES,))
        made.run("c1", "n1")
        made.balance(made.service(ip6=VIP6))
        made.balance(made.published(ports=(NAMES,)))
        yield made


@pytest.mark.parametrize("vip", [VIP, VIP6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_virtual_address_leads_to_each_task(
    here: ServiceHost, vip: IPv6Interface, kind: str
) -> None:
    assert counted(here.inside("c1"), vip.ip, 4, kind=kind) == EACH


def test_a_task_sees_the_balancer_by_ipv6_too(here: ServiceHost) -> None:
    """It answers to where the connection was rewritten."""
    client = here.host.endpoints(here.host.container("c1"))[0].ip6
    assert client is not None
    assert ask(here.inside("c1"), VIP6.ip).split()[1] != str(client.ip)


def test_a_task_reaches_its_own_service_by_ipv6(here: ServiceHost) -> None:
    assert counted(here.inside("web1"), VIP6.ip, 4) == EACH


def test_a_published_port_of_udp_leads_to_each_task(here: ServiceHost) -> None:
    """From outside, from the host, and from clients of IPv6 by the host's proxy."""
    for place, ip in (
        (here.lab.lan, labs.HOST_IP),
        (here.lab.netns, labs.HOST_IP),
        (here.lab.lan, labs.HOST_IP6),
        (here.lab.netns, "::1"),
    ):
        assert set(counted(place, ip, 4, 5353, kind="udp")) == {"web1", "web2"}
