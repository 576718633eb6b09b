"""Published ports of services on two hosts: whichever host is asked, the task answers.

client 192.0.2.1 ── switch ── 192.0.2.10 h1, no task
                      └────── 192.0.2.11 h2, web1
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from plumb.engine.cluster import attach, balancing
from plumb.frozen import replace
from plumb.model.cluster import AttachRequest, balancer_id
from plumb.model.cnm import Network
from plumb.model.net.status import TaskOf
from plumb.model.ports import ServicePort
from plumb.model.service.virtual import Backend, VirtualService
from tests.fake_cluster import INGRESS
from tests.host.overlay_pair import ONE, TWO, LabHost, two_hosts
from tests.host.servers import children
from tests.host.service_hosts import ask, talk
from tests.labs import within

pytestmark = pytest.mark.needs("vxlan")
CLIENT = "192.0.2.1"
DOOR = IPv4Interface("10.0.0.200/24")
PORT = ServicePort(80, 8080)


def join(host: LabHost, number: int, net: Network) -> None:
    """Build a host's part of the ingress network."""
    host.cluster.last[str(IPv4Network("10.0.0.0/24"))] = 1 + 100 * number
    own = AttachRequest(balancer_id(net.id, host.cluster.me.id), net.id)
    with host.plumb() as plumb, plumb._within() as op:
        attach.join(op, host.cluster.attach(own))


def tell(host: LabHost, net: Network, other: LabHost, one: VirtualService) -> None:
    """Tell a host of the other's endpoints, and of the service."""
    with host.plumb() as plumb, plumb._within() as op:
        attach.apply(op, net.id, [end for end in other.told() if end.network == net.id])
        balancing.apply(op, net.id, [one])


@contextmanager
def published(net: Network) -> Iterator[str]:
    """A service with its only task on h2, published on h1 and h2; the client's namespace."""
    with two_hosts(net) as (h1, h2), ExitStack() as stack:
        for number, host in enumerate((h1, h2)):
            join(host, number, net)
        part = TaskOf("web1".ljust(25, "0"), "web", "web", 1, ports=(PORT,))
        with h2.plumb() as plumb, plumb.operation() as verbs:
            box = verbs.run("web1", network="ingress")
            verbs._operation.put(replace(box, task=part))
        with h2.plumb() as plumb:
            ip = next(end.ip for end in plumb.endpoints(box) if end.network == net.id)
            inside = plumb.namespace(box)
        assert ip is not None
        one = VirtualService(
            "web", net.id, "web", ip=DOOR, ports=(PORT,), backends=(Backend("t", "web1", ip),)
        )
        tell(h1, net, h2, one)
        tell(h2, net, h1, one)
        stack.enter_context(children(talk(inside, "web1")))
        switch = str(Path(h1.netns).with_name("switch"))
        within(switch, f"ip addr add {CLIENT}/24 dev br0")
        yield switch


def test_every_host_publishes_the_port() -> None:
    """The task sees the balancer of the host that was asked."""
    with published(replace(INGRESS, attachable=True)) as client:
        assert ask(client, ONE, 8080) == "web1 10.0.0.2"
        assert ask(client, TWO, 8080) == "web1 10.0.0.102"


def test_the_clients_address_is_kept_across_hosts() -> None:
    """The answer goes back by the host that was asked, which has rewritten the connection."""
    kept = replace(INGRESS.overlay, preserve_source=True)
    with published(replace(INGRESS, attachable=True, overlay=kept)) as client:
        for _ in range(3):
            assert ask(client, ONE, 8080) == f"web1 {CLIENT}"
            assert ask(client, TWO, 8080) == f"web1 {CLIENT}"
