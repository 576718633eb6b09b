"""Work of the managers' leader that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address

from plumb.agent.cluster.manager.housekeeping import Housekeeping
from plumb.agent.cluster.state import absence, encryption, keys, nodes, reservations
from plumb.model.cluster import Node
from tests.agent.cluster.state.clusters import Cluster
from tests.waiting import until


@contextmanager
def kept(cluster: Cluster) -> Iterator[list[str]]:
    """Housekeeping of a cluster; what it has said."""
    said: list[str] = []
    with closing(Housekeeping(cluster.etcd, lambda: True, said.append)) as keeping:
        keeping.start()
        yield said


def test_a_node_that_was_away_for_a_day_keeps_no_addresses(cluster: Cluster) -> None:
    cluster.run("h1", cluster.network("n1"))
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    cluster.etcd.put(keys.AWAY + "h1", "1000")

    with kept(cluster) as said:
        until(lambda: not reservations.of_node(cluster.etcd, "h1"))
        until(lambda: said)

    assert "node h1" in said[0]


def test_a_node_that_never_came_is_removed(cluster: Cluster) -> None:
    """As where the answer to its join was lost; one that was there once stays, and is down."""
    ip = IPv4Address("192.0.2.99")
    nodes.put(cluster.etcd, Node("lost", "lost", ip, ip))
    cluster.etcd.lease_revoke(cluster.leases["h1"])

    absence.sweep(cluster.etcd, 1000)
    absence.sweep(cluster.etcd, 1000 + absence.NEVER_CAME)
    assert nodes.get(cluster.etcd, "lost") is not None
    absence.sweep(cluster.etcd, 1001 + absence.NEVER_CAME)

    assert nodes.get(cluster.etcd, "lost") is None
    assert nodes.get(cluster.etcd, "h1") is not None


def test_a_cluster_of_an_older_version_gets_keys(cluster: Cluster) -> None:
    with kept(cluster):
        until(lambda: encryption.load(cluster.etcd))
