"""Networks: name, subnets, gateways and VNIs are unique, decided in one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest

from plumb.agent.cluster.state import endpoints, keys, networks, reservations
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.etcd.operations import below
from plumb.errors import Conflict, Invalid, NotFound, PlumbError
from plumb.model.cluster import AttachRequest, Swarm
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions
from tests.agent.cluster.state.clusters import Cluster, container, new_id, wish


def subnets(net: Network) -> list[str]:
    return [str(pool.subnet) for pool in net.pools]


def test_ingress_is_first(cluster: Cluster) -> None:
    ingress, first = cluster.ingress(), cluster.network("n1")
    assert (subnets(ingress), ingress.overlay.vnis) == (["10.0.0.0/24"], (4096,))
    assert (subnets(first), first.overlay.vnis) == (["10.0.1.0/24"], (4097,))


def test_a_removed_network_s_subnet_is_given_again_and_its_vni_not(etcd: Etcd) -> None:
    """Recorded as swarm-addr-pool."""
    made = Cluster(etcd, (), Swarm("s", (IPv4Network("10.100.0.0/16"),), 26))
    made.ingress()
    n1, n2 = made.network("n1"), made.network("n2")
    networks.remove(etcd, n1.id)
    n3 = made.network("n3")
    assert [(*subnets(net), *net.overlay.vnis) for net in (n1, n2, n3)] == [
        ("10.100.0.64/26", 4097),
        ("10.100.0.128/26", 4098),
        ("10.100.0.64/26", 4099),
    ]


def test_each_subnet_has_a_vni_and_a_gateway(cluster: Cluster) -> None:
    """Recorded as swarm-overlay-subnets, where ingress had 4096."""
    cluster.ingress()
    second = Pool(ip_network("10.51.0.0/24"), gateway=IPv4Address("10.51.0.254"))
    net = cluster.network("n1", "10.50.0.0/24", second)
    assert net.overlay.vnis == (4097, 4098)
    assert [str(pool.gateway) for pool in net.pools] == ["10.50.0.1", "10.51.0.254"]


def test_an_ipv6_subnet_shares_the_segment_of_its_ipv4_subnet(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24", "fd00:50::/64", ipv6=True)
    assert (len(net.overlay.vnis), str(net.pools[1].gateway)) == (1, "fd00:50::1")


def test_ipv6_without_a_subnet_gets_a_unique_local_one(cluster: Cluster) -> None:
    one, other = cluster.network("n1", ipv6=True), cluster.network("n2", ipv6=True)
    assert one.pools[1].subnet.is_private
    assert not one.pools[1].subnet.overlaps(other.pools[1].subnet)


def test_vxlan_s_port_is_the_swarm_s(etcd: Etcd) -> None:
    made = Cluster(etcd, (), Swarm("s", port=7777))
    assert made.network("n1").overlay.port == 7777


def test_what_was_made_is_found_by_name_id_and_beginning_of_the_id(cluster: Cluster) -> None:
    net = cluster.network("n1")
    for reference in ("n1", net.id, net.id[:12]):
        assert networks.find(cluster.etcd, reference) == net


def test_nothing_is_found_by_another_name(cluster: Cluster) -> None:
    assert networks.find(cluster.etcd, "nosuch") is None


def test_a_beginning_of_two_ids_is_ambiguous(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        ident = f"ab{new_id()[2:]}"
        networks.create(cluster.etcd, cluster.swarm, replace(wish(name), id=ident))
    with pytest.raises(Invalid, match="ambiguous"):
        networks.find(cluster.etcd, "ab")


def test_the_same_creation_again_is_answered_alike(cluster: Cluster) -> None:
    asked = wish("n1")
    made = [networks.create(cluster.etcd, cluster.swarm, asked) for _ in range(2)]
    assert made[0] == made[1]


# -- refusals -------------------------------------------------------------------------


def test_a_name_that_is_taken(cluster: Cluster) -> None:
    cluster.network("n1")
    with pytest.raises(Conflict, match="network with name n1 already exists"):
        cluster.network("n1")


@pytest.mark.parametrize("subnet", ["10.50.0.0/25", "10.50.0.0/24", "10.0.0.0/8"])
def test_a_subnet_that_overlaps_is_refused_at_once(cluster: Cluster, subnet: str) -> None:
    """Docker takes it, and no container gets an address there."""
    cluster.network("n1", "10.50.0.0/24")
    with pytest.raises(Conflict, match="Pool overlaps") as refused:
        cluster.network("n3", subnet)
    assert "n1" in refused.value.hint


def test_a_second_ingress(cluster: Cluster) -> None:
    first = cluster.ingress()
    asked = Network(new_id(), "n4", "overlay", overlay=OverlayOptions(ingress=True))
    with pytest.raises(Conflict, match=f"ingress network .{first.id}. is already present"):
        networks.create(cluster.etcd, cluster.swarm, asked)


def test_an_attachable_ingress(cluster: Cluster) -> None:
    asked = replace(wish("n5"), overlay=OverlayOptions(ingress=True))
    with pytest.raises(Invalid, match="ingress network cannot be attachable"):
        networks.create(cluster.etcd, cluster.swarm, asked)


def test_a_network_in_use_stays(cluster: Cluster) -> None:
    net = cluster.network("n1")
    asked = container(net)
    endpoints.attach(cluster.etcd, "h1", asked)
    with pytest.raises(Conflict, match=f"network {net.id} is in use by task {asked.endpoint}"):
        networks.remove(cluster.etcd, net.id)


def built_by_nodes(cluster: Cluster) -> Network:
    """A network that each node builds for itself."""
    asked = Network(new_id(), "wire", "macvlan", attachable=True, swarm=True)
    return networks.create(cluster.etcd, cluster.swarm, asked)


def test_a_network_that_another_node_has_built_stays(cluster: Cluster) -> None:
    """Until the node has let its part go, or is in the cluster no more."""
    net = built_by_nodes(cluster)
    for let_go in (
        lambda: reservations.release(cluster.etcd, "h2", [net.id]),
        lambda: reservations.release_node(cluster.etcd, "h2"),
    ):
        reservations.take_part(cluster.etcd, "h2", net.id)
        with pytest.raises(Conflict, match=f"network {net.id} is in use on node"):
            networks.remove(cluster.etcd, net.id, "h1")
        let_go()
        assert not cluster.etcd.range(below(keys.PARTS)).keys
    networks.remove(cluster.etcd, net.id, "h1")


def test_the_part_of_the_node_that_asks_goes_with_a_network(cluster: Cluster) -> None:
    before = {one.key for one in cluster.etcd.range(below(keys.ROOT)).keys}
    net = built_by_nodes(cluster)
    reservations.take_part(cluster.etcd, "h1", net.id)
    networks.remove(cluster.etcd, net.id, "h1")
    after = {one.key for one in cluster.etcd.range(below(keys.ROOT)).keys}
    assert after - before <= {keys.NEXT_VNI}


def test_no_part_is_taken_of_a_network_that_is_gone(cluster: Cluster) -> None:
    net = built_by_nodes(cluster)
    networks.remove(cluster.etcd, net.id)
    with pytest.raises(NotFound):
        reservations.take_part(cluster.etcd, "h1", net.id)
    assert reservations.of_node(cluster.etcd, "h1") == []


def test_a_network_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(NotFound):
        networks.remove(cluster.etcd, new_id())


# -- VNIs of the user's choice --------------------------------------------------------


def test_given_vnis_are_honoured_and_passed_over_later(cluster: Cluster) -> None:
    given = cluster.network("n1", vnis=(4097,))
    assert [net.overlay.vnis for net in (given, cluster.network("n2"), cluster.network("n3"))] == [
        (4097,),
        (4096,),
        (4098,),
    ]


def test_fewer_given_than_subnets_are_completed(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24", "10.51.0.0/24", vnis=(5000,))
    assert net.overlay.vnis == (5000, 4096)


def test_a_vni_that_another_network_has(cluster: Cluster) -> None:
    cluster.network("n1", vnis=(5000,))
    with pytest.raises(Conflict, match="vxlan id 5000"):
        cluster.network("n2", vnis=(5000,))


@pytest.mark.parametrize("vnis", [(17,), (1 << 24,), (5000, 5001), (5000, 5000)])
def test_vnis_that_cannot_be(cluster: Cluster, vnis: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match="vxlan"):
        cluster.network("n1", vnis=vnis)


# -- removal --------------------------------------------------------------------------


def test_a_removed_network_leaves_no_key_but_the_next_vni(cluster: Cluster) -> None:
    before = {one.key for one in cluster.etcd.range(below(keys.ROOT)).keys}
    net = cluster.network("n1")
    ident = new_id()
    cluster.run("h1", net, ident)
    reservations.release(cluster.etcd, "h1", [ident])
    networks.remove(cluster.etcd, net.id)
    after = {one.key for one in cluster.etcd.range(below(keys.ROOT)).keys}
    assert after - before == {keys.NEXT_VNI}


def test_ingress_goes_with_the_nodes_own_places(cluster: Cluster) -> None:
    net = cluster.ingress()
    endpoints.attach(cluster.etcd, "h1", AttachRequest("", net.id))
    networks.remove(cluster.etcd, net.id)
    assert reservations.of_node(cluster.etcd, "h1") == []


# -- at once --------------------------------------------------------------------------


def test_ten_creations_at_once_get_different_subnets_and_vnis(cluster: Cluster) -> None:
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(cluster.network, [f"n{i}" for i in range(10)]))
    assert len({net.pools[0].subnet for net in made}) == 10
    assert sorted(net.overlay.vnis[0] for net in made) == list(range(4096, 4106))


def test_of_overlapping_creations_at_once_one_wins(cluster: Cluster) -> None:
    def make(name: str) -> str:
        try:
            return cluster.network(name, "10.50.0.0/24").name
        except PlumbError as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        made = sorted(pool.map(make, ["n1", "n2", "n3", "n4"]))
    assert made[:3] == ["Conflict"] * 3
    assert made[3].startswith("n")
