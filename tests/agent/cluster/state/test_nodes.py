"""Nodes: alive while their lease is, out at once when they are removed, back with what they had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from plumb.agent.cluster.state import absence, endpoints, keys, nodes, reservations
from plumb.agent.cluster.state.etcd import Etcd
from plumb.errors import Conflict, NotFound
from plumb.model.cluster import Availability, Node
from tests.agent.cluster.state.clusters import Cluster, new_id
from tests.waiting import until


def alive(cluster: Cluster) -> list[str]:
    return sorted(nodes.alive(cluster.etcd))


def test_nodes_are_listed_with_those_alive_that_are(cluster: Cluster) -> None:
    cluster.etcd.lease_revoke(cluster.leases["h2"])
    found = nodes.everyone(cluster.etcd)
    assert [(node.id, node.alive) for node in found] == [("h1", True), ("h2", False)]


def test_one_node_is_got_by_its_id(cluster: Cluster) -> None:
    found = nodes.get(cluster.etcd, "h1")
    assert found is not None
    assert (found.hostname, found.alive) == ("h1", True)


def test_an_id_is_given_once(cluster: Cluster) -> None:
    found = nodes.get(cluster.etcd, "h1")
    assert found is not None
    with pytest.raises(Conflict):
        nodes.put(cluster.etcd, replace(found, hostname="another"))


def test_a_node_is_changed(cluster: Cluster) -> None:
    nodes.change(cluster.etcd, "h1", lambda node: replace(node, availability=Availability.DRAIN))
    found = nodes.get(cluster.etcd, "h1")
    assert found is not None
    assert found.availability is Availability.DRAIN


def test_a_removed_node_cannot_be_changed(cluster: Cluster) -> None:
    nodes.remove(cluster.etcd, "h1")
    with pytest.raises(NotFound):
        nodes.change(cluster.etcd, "h1", lambda node: node)


# -- leases ---------------------------------------------------------------------------


def test_a_lease_is_renewed_as_long_as_it_is_valid(cluster: Cluster) -> None:
    lease = cluster.leases["h1"]
    assert nodes.renew(cluster.etcd, "h1", lease) == lease


def test_a_node_that_has_forgotten_its_lease_gets_it_again(cluster: Cluster) -> None:
    assert nodes.renew(cluster.etcd, "h1") == cluster.leases["h1"]


def test_a_lost_lease_is_replaced_by_a_new_one(cluster: Cluster) -> None:
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    lease = nodes.renew(cluster.etcd, "h1", cluster.leases["h1"])
    assert lease != cluster.leases["h1"]
    assert alive(cluster) == ["h1", "h2"]


def test_a_removed_node_gets_no_lease(cluster: Cluster) -> None:
    nodes.remove(cluster.etcd, "h1")
    with pytest.raises(NotFound, match="node h1 not found"):
        nodes.renew(cluster.etcd, "h1", cluster.leases["h1"])


def test_a_node_that_has_left_is_down_and_gets_no_lease(cluster: Cluster) -> None:
    """A renewal that was under way when it left would make it look alive for as long as a lease."""
    nodes.leave(cluster.etcd, "h1")
    assert alive(cluster) == ["h2"]
    with pytest.raises(NotFound, match="node h1 not found"):
        nodes.renew(cluster.etcd, "h1", cluster.leases["h1"])
    assert alive(cluster) == ["h2"]


def test_a_lease_that_came_while_a_node_left_ends_too(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that is faster than the end of the key: its lease is found, and ended."""
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    change = nodes.change

    def faster(etcd: Etcd, ident: str, how: Callable[[Node], Node]) -> Node:
        nodes.renew(etcd, ident)
        return change(etcd, ident, how)

    monkeypatch.setattr(nodes, "change", faster)
    nodes.leave(cluster.etcd, "h1")
    assert alive(cluster) == ["h2"]


def test_what_a_removed_node_had_published_goes_at_once(cluster: Cluster) -> None:
    net = cluster.network("n1")
    cluster.run("h1", net)
    nodes.remove(cluster.etcd, "h1")
    assert cluster.published(net) == set()
    assert alive(cluster) == ["h2"]


def test_an_expired_lease_takes_the_endpoints_and_leaves_the_addresses(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    lease = cluster.join("h3", 3, ttl=1)
    cluster.run("h3", net, lease=lease)
    until(lambda: "h3" not in nodes.alive(cluster.etcd))
    until(lambda: not cluster.published(net))
    held = reservations.of_node(cluster.etcd, "h3")
    assert [str(one.ip) for one in held] == ["10.50.0.2/24", "10.50.0.3/24"]


def test_a_node_that_comes_back_has_the_same_addresses(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    ident = new_id()
    before = cluster.run("h1", net, ident)
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    cluster.run("h2", net)
    lease = nodes.renew(cluster.etcd, "h1", cluster.leases["h1"])
    assert cluster.run("h1", net, ident, lease).ip == before.ip
    assert len(cluster.published(net)) == 4


# -- absence --------------------------------------------------------------------------


@pytest.fixture
def lost(cluster: Cluster) -> Cluster:
    """h1 has a container, and no lease; it was noted at the moment 1000."""
    cluster.attach("h1", cluster.network("n1"))
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    assert absence.sweep(cluster.etcd, 1000) == []
    return cluster


def test_a_node_keeps_its_addresses_for_a_day(lost: Cluster) -> None:
    assert absence.sweep(lost.etcd, 1000 + absence.DAY) == []
    assert len(reservations.of_node(lost.etcd, "h1")) == 2


def test_after_a_day_they_are_given_back(lost: Cluster) -> None:
    assert absence.sweep(lost.etcd, 1001 + absence.DAY) == ["h1"]
    assert reservations.of_node(lost.etcd, "h1") == []


def test_a_node_that_comes_back_starts_a_new_day(lost: Cluster) -> None:
    lease = nodes.renew(lost.etcd, "h1")
    lost.etcd.lease_revoke(lease)
    assert absence.sweep(lost.etcd, 1001 + absence.DAY) == []


def test_what_a_removed_node_left_is_given_back_at_once(cluster: Cluster) -> None:
    net = cluster.network("n1")
    cluster.attach("h1", net)
    nodes.remove(cluster.etcd, "h1")
    assert absence.sweep(cluster.etcd, 1000) == ["h1"]
    assert reservations.of_node(cluster.etcd, "h1") == []


def test_sweeping_touches_nobody_who_is_alive(cluster: Cluster) -> None:
    net = cluster.network("n1")
    cluster.attach("h1", net)
    for now in (1000, 1001 + absence.DAY):
        assert absence.sweep(cluster.etcd, now) == []
    assert cluster.etcd.get(keys.AWAY + "h1") is None


def test_a_node_whose_addresses_were_given_back_attaches_anew(lost: Cluster) -> None:
    absence.sweep(lost.etcd, 1001 + absence.DAY)
    nodes.renew(lost.etcd, "h1")
    net = lost.network("n2")
    assert lost.attach("h1", net).ip
    assert endpoints.of_network(lost.etcd, net.id) == []
