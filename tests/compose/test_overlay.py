"""Networks of the cluster in a project: they change and go when their containers have gone."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from plumb import Conflict, Host
from plumb.compose import carry_out, labels
from plumb.kernel.system import System
from tests.compose import project, up
from tests.fake_cluster import FakeCluster, node
from tests.memory_host import MemoryHosts

SHOP = """
services:
  web: {command: serve, networks: [front]}
networks:
  front:
    driver: overlay
    attachable: true
    ipam: {config: [{subnet: 10.50.0.0/24}]}
"""
CHANGED = SHOP.replace("10.50.0", "10.51.0")


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster that this host is a manager of."""
    return FakeCluster(node(ip_address("192.0.2.10")))


@pytest.fixture
def here(memory_host: MemoryHosts, cluster: FakeCluster) -> Iterator[Host]:
    """This host, with the project up."""
    with memory_host(System(), cluster=cluster) as host:
        yield host


def subnets(cluster: FakeCluster) -> list[str]:
    """Subnets of the cluster's networks."""
    return [str(pool.subnet) for net in cluster.networks() for pool in net.pools]


def test_a_changed_network_is_made_anew(here: Host, cluster: FakeCluster, tmp_path: Path) -> None:
    """Its containers with it, and the changes tell so."""
    up(here, project(tmp_path, SHOP))
    old = here.container("shop-web-1")

    changes = up(here, project(tmp_path, CHANGED))

    assert subnets(cluster) == ["10.51.0.0/24"]
    box = here.container("shop-web-1")
    assert box.id != old.id
    assert str(next(iter(here.endpoints(box))).ip).startswith("10.51.0.")
    assert [net.name for net in changes.remove_networks] == ["shop_front"]
    assert [(each.name, each.again) for each in changes.create] == [("shop-web-1", True)]
    assert up(here, project(tmp_path, CHANGED)).none


def test_a_dry_run_of_it_changes_nothing(
    here: Host, cluster: FakeCluster, memory_host: MemoryHosts, tmp_path: Path
) -> None:
    """It shows what goes; what comes then it cannot work out."""
    up(here, project(tmp_path, SHOP))
    old = here.container("shop-web-1")
    here.close()
    rehearsed = Host(
        memory_host.root, kernel=memory_host.kernel, system=System(), dry_run=True, cluster=cluster
    )
    with rehearsed:
        up(rehearsed, project(tmp_path, CHANGED))
        assert rehearsed.container("shop-web-1").id == old.id
    assert subnets(cluster) == ["10.50.0.0/24"]


def test_a_container_of_somebody_else_keeps_all(
    here: Host, cluster: FakeCluster, tmp_path: Path
) -> None:
    """Neither up nor down has removed anything when it is met."""
    up(here, project(tmp_path, SHOP))
    old = here.container("shop-web-1")
    here.run("other", network="shop_front")

    with pytest.raises(Conflict, match="container other is on it"):
        up(here, project(tmp_path, CHANGED))
    with pytest.raises(Conflict, match="container other is on it"):
        carry_out.down(here, project(tmp_path, SHOP))

    assert here.container("shop-web-1").id == old.id
    assert subnets(cluster) == ["10.50.0.0/24"]


def test_down_takes_it_out_of_the_cluster(here: Host, cluster: FakeCluster, tmp_path: Path) -> None:
    """When its containers have gone."""
    up(here, project(tmp_path, SHOP))
    carry_out.down(here, project(tmp_path, SHOP))
    assert (here.containers(), cluster.networks()) == ([], [])


def test_down_takes_one_out_that_each_node_builds(
    here: Host, cluster: FakeCluster, tmp_path: Path
) -> None:
    """A file has no word for it, but a network with the project's labels is the project's."""
    mine = {labels.PROJECT: "shop"}
    here.create_network(
        "shop_front", scope="swarm", attachable=True, labels={**mine, labels.NETWORK: "front"}
    )
    here.run("shop-web-1", network="shop_front", labels={**mine, labels.SERVICE: "web"})
    carry_out.down(here, project(tmp_path, SHOP))
    assert (here.containers(), cluster.networks()) == ([], [])
    assert "shop_front" not in [net.name for net in here.networks()]
