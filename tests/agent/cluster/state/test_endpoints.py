"""Places in a network: reserved once, published while the node is alive, released for good."""

from __future__ import annotations

import pytest

from plumb.agent.cluster.state import endpoints, keys, nodes, reservations
from plumb.agent.cluster.state.etcd.operations import below
from plumb.agent.cluster.state.etcd.refusals import LeaseGone
from plumb.errors import NotFound, Unsupported
from plumb.model.cluster import AttachRequest
from plumb.model.cnm import Network
from tests.agent.cluster.state.clusters import Cluster, container, ip_of, new_id, remote


@pytest.fixture
def net(cluster: Cluster) -> Network:
    """A network in which nobody is."""
    return cluster.network("n1", "10.50.0.0/24")


def held(cluster: Cluster, host: str) -> list[str]:
    """Addresses that a node has reserved, its own last."""
    return [str(ip.ip) for one in reservations.of_node(cluster.etcd, host) for ip in one.ips]


# -- reserving ------------------------------------------------------------------------


def test_the_same_wish_again_gets_the_same_answer(cluster: Cluster, net: Network) -> None:
    asked = container(net)
    assert endpoints.attach(cluster.etcd, "h1", asked) == endpoints.attach(
        cluster.etcd, "h1", asked
    )


def test_the_same_wish_for_an_address_again_is_no_conflict(cluster: Cluster, net: Network) -> None:
    asked = container(net, "10.50.0.30")
    got = [endpoints.attach(cluster.etcd, "h1", asked) for _ in range(2)]
    assert [ip_of(one) for one in got] == ["10.50.0.30"] * 2


def test_a_network_may_be_named(cluster: Cluster, net: Network) -> None:
    asked = AttachRequest(new_id(), "n1", new_id())
    assert endpoints.attach(cluster.etcd, "h1", asked).network == net


def test_the_answer_has_the_endpoints_of_other_nodes(cluster: Cluster, net: Network) -> None:
    cluster.run("h1", net)
    got = cluster.attach("h2", net)
    assert {str(one.ip) for one in got.remotes} == {"10.50.0.2/24", "10.50.0.3/24"}


def test_the_answer_has_none_of_the_node_itself(cluster: Cluster, net: Network) -> None:
    cluster.run("h1", net)
    assert cluster.attach("h1", net).remotes == ()


def test_a_network_that_is_not_attachable_is_refused(cluster: Cluster) -> None:
    ingress = cluster.ingress()
    with pytest.raises(Unsupported, match="network ingress not manually attachable"):
        cluster.attach("h1", ingress)


@pytest.mark.parametrize("reference", ["nosuch", "0" * 64])
def test_an_unknown_network_is_not_found(cluster: Cluster, reference: str) -> None:
    with pytest.raises(NotFound, match=f"network {reference} not found"):
        endpoints.attach(cluster.etcd, "h1", AttachRequest(new_id(), reference, new_id()))


def test_a_node_that_was_removed_reserves_nothing(cluster: Cluster, net: Network) -> None:
    nodes.remove(cluster.etcd, "h1")
    with pytest.raises(NotFound, match="node h1 not found"):
        cluster.attach("h1", net)


def test_a_node_has_no_place_of_its_own_without_a_member(cluster: Cluster, net: Network) -> None:
    """Nothing would ever give that place back: it goes with the last member."""
    with pytest.raises(NotFound, match="node h1 has nothing on network n1"):
        endpoints.reserve(cluster.etcd, "h1", AttachRequest("", net.id))
    assert held(cluster, "h1") == []


# -- publishing -----------------------------------------------------------------------


def test_a_reservation_alone_is_not_published(cluster: Cluster, net: Network) -> None:
    cluster.attach("h1", net)
    assert cluster.published(net) == set()


def test_the_node_s_balancer_is_published_with_its_member(cluster: Cluster, net: Network) -> None:
    cluster.run("h1", net)
    assert cluster.published(net) == {"10.50.0.2", "10.50.0.3"}


def test_publishing_again_is_no_error(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    endpoints.publish(cluster.etcd, "h1", [made], cluster.leases["h1"])
    assert len(cluster.published(net)) == 2


def test_what_is_not_reserved_is_not_published(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    reservations.release(cluster.etcd, "h1", [made.id])
    with pytest.raises(NotFound, match=f"endpoint {made.id} has no addresses"):
        endpoints.publish(cluster.etcd, "h1", [made], cluster.leases["h1"])


def test_a_node_publishes_nothing_of_another_s(cluster: Cluster, net: Network) -> None:
    ident = new_id()
    got = cluster.attach("h1", net, ident=ident)
    with pytest.raises(NotFound):
        endpoints.publish(cluster.etcd, "h2", [remote("h2", net, ident, got)], cluster.leases["h2"])


def test_a_hundred_are_published_at_once(cluster: Cluster, net: Network) -> None:
    made = []
    for _ in range(100):
        ident = new_id()
        made.append(remote("h1", net, ident, cluster.attach("h1", net, ident=ident)))
    endpoints.publish(cluster.etcd, "h1", made, cluster.leases["h1"])
    assert len(cluster.published(net)) == 101


def test_withdrawn_ones_keep_their_addresses(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    endpoints.withdraw(cluster.etcd, "h1", [made.id])
    assert cluster.published(net) == {"10.50.0.3"}
    assert held(cluster, "h1") == ["10.50.0.2", "10.50.0.3"]


def test_a_node_withdraws_nothing_of_another_s(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    endpoints.withdraw(cluster.etcd, "h2", [made.id])
    assert "10.50.0.2" in cluster.published(net)


# -- releasing ------------------------------------------------------------------------


def test_the_balancer_goes_with_the_last_member(cluster: Cluster, net: Network) -> None:
    made = [cluster.run("h1", net) for _ in range(2)]
    reservations.release(cluster.etcd, "h1", [made[0].id])
    assert held(cluster, "h1") == ["10.50.0.4", "10.50.0.3"]
    reservations.release(cluster.etcd, "h1", [made[1].id])
    assert (held(cluster, "h1"), cluster.published(net)) == ([], set())


def test_members_that_go_together_take_the_balancer_along(cluster: Cluster, net: Network) -> None:
    made = [cluster.run("h1", net) for _ in range(60)]
    reservations.release(cluster.etcd, "h1", [one.id for one in made])
    assert held(cluster, "h1") == []


def test_another_node_s_balancer_stays(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    cluster.run("h2", net)
    reservations.release(cluster.etcd, "h1", [made.id])
    assert held(cluster, "h2") == ["10.50.0.4", "10.50.0.5"]


def test_a_node_releases_nothing_of_another_s(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    reservations.release(cluster.etcd, "h2", [made.id])
    assert held(cluster, "h1") == ["10.50.0.2", "10.50.0.3"]


def test_releasing_what_was_never_reserved_is_no_error(cluster: Cluster) -> None:
    reservations.release(cluster.etcd, "h1", [new_id()])


def test_the_ingress_place_of_a_node_stays_without_members(cluster: Cluster) -> None:
    ingress = cluster.ingress()
    endpoints.attach(cluster.etcd, "h1", AttachRequest("", ingress.id))
    reservations.release(cluster.etcd, "h1", [new_id()])
    assert held(cluster, "h1") == ["10.0.0.2"]


def test_what_was_released_leaves_no_address(cluster: Cluster, net: Network) -> None:
    made = cluster.run("h1", net)
    reservations.release(cluster.etcd, "h1", [made.id])
    left = cluster.etcd.range(below(f"{keys.ADDRESSES}{net.id}/")).keys
    assert [str(keys.address_of(one.key)) for one in left] == ["10.50.0.1"]


# -- leases ---------------------------------------------------------------------------


def test_nothing_is_published_under_a_lease_that_is_gone(cluster: Cluster, net: Network) -> None:
    cluster.etcd.lease_revoke(cluster.leases["h1"])
    with pytest.raises(LeaseGone):
        cluster.run("h1", net)
