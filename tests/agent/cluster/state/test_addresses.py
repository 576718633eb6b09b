"""Which address comes next: as Docker's manager gives them, by the recordings."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest

from plumb.address import IPAddress
from plumb.agent.cluster.state import addresses, endpoints, reservations
from plumb.agent.cluster.state.addresses import next_fit
from plumb.agent.cluster.state.etcd import Etcd
from plumb.errors import Conflict, Exhausted, Invalid
from plumb.model.cluster import AttachRequest, Swarm
from plumb.model.cnm import Pool
from tests.agent.cluster.state.clusters import Cluster, balancer_of, container, ip_of, new_id

POOL = Pool(ip_network("10.50.0.0/29"))


def chosen(last: str, *taken: str, pool: Pool = POOL) -> str:
    having: set[IPAddress] = {ip_address(text) for text in taken}
    found = next_fit(pool, ip_address(last), lambda low, high: having)
    return str(found)


# -- the rule -------------------------------------------------------------------------


def test_the_address_behind_the_last_one_is_next() -> None:
    assert chosen("10.50.0.2") == "10.50.0.3"


def test_one_that_is_taken_is_passed_over() -> None:
    assert chosen("10.50.0.2", "10.50.0.3") == "10.50.0.4"


def test_it_goes_round_at_the_end() -> None:
    assert chosen("10.50.0.6", "10.50.0.1") == "10.50.0.2"


def test_the_last_one_itself_comes_when_all_others_are_taken() -> None:
    assert chosen("10.50.0.3", *(f"10.50.0.{n}" for n in (1, 2, 4, 5, 6))) == "10.50.0.3"


def test_none_is_free_in_a_full_subnet() -> None:
    assert chosen("10.50.0.3", *(f"10.50.0.{n}" for n in range(1, 7))) == "None"


def test_a_range_narrows_the_choice() -> None:
    narrow = Pool(ip_network("10.50.0.0/24"), IPv4Network("10.50.0.16/30"))
    assert chosen("10.50.0.19", pool=narrow) == "10.50.0.16"


def test_a_large_subnet_is_looked_up_in_pages() -> None:
    asked: list[tuple[IPAddress, IPAddress]] = []

    def occupied(low: IPAddress, high: IPAddress) -> set[IPAddress]:
        asked.append((low, high))
        return {IPv4Address(n) for n in range(int(low), int(high) + 1)} if len(asked) < 3 else set()

    found = next_fit(Pool(ip_network("10.50.0.0/16")), IPv4Address("10.50.0.9"), occupied)

    assert (str(found), len(asked)) == ("10.50.2.10", 3)


def test_an_ipv6_subnet_of_any_size_has_a_next_one() -> None:
    pool = Pool(ip_network("fd00:50::/64"))
    assert next_fit(pool, None, addresses.nobody) == IPv6Address("fd00:50::1")


# -- the recordings -------------------------------------------------------------------


def test_one_host_member_balancer_member(cluster: Cluster) -> None:
    """Recorded as overlay-one-host: c1 .2, the node's balancer .3, c2 .4."""
    net = cluster.network("n1", "10.50.0.0/24")
    first, second = cluster.attach("h1", net), cluster.attach("h1", net)
    assert [ip_of(first), balancer_of(first), ip_of(second)] == [
        "10.50.0.2",
        "10.50.0.3",
        "10.50.0.4",
    ]


def test_two_hosts_each_with_its_balancer(cluster: Cluster) -> None:
    """Recorded as overlay-two-hosts: c1 .2 and h1 .3, c2 .4 and h2 .5, c3 .6."""
    net = cluster.network("n1", "10.50.0.0/24")
    c1, c2, c3 = (cluster.attach(host, net) for host in ("h1", "h2", "h1"))
    assert [ip_of(c1), balancer_of(c1), ip_of(c2), balancer_of(c2), ip_of(c3), balancer_of(c3)] == [
        f"10.50.0.{n}" for n in (2, 3, 4, 5, 6, 3)
    ]


def test_ingress_gives_each_node_an_address_as_it_joins(cluster: Cluster) -> None:
    """Recorded as swarm-join: 10.0.0.2 and 10.0.0.3."""
    net = cluster.ingress()
    got = [endpoints.attach(cluster.etcd, host, AttachRequest("", net.id)) for host in ("h1", "h2")]
    assert [(ip_of(one), balancer_of(one)) for one in got] == [
        ("10.0.0.2", "10.0.0.2"),
        ("10.0.0.3", "10.0.0.3"),
    ]


def test_addresses_that_were_asked_for_move_nothing(cluster: Cluster) -> None:
    """Recorded as swarm-overlay-subnets: after c1 with --ip .30 the balancer gets .2."""
    gateway = IPv4Address("10.51.0.254")
    second = Pool(ip_network("10.51.0.0/24"), gateway=gateway)
    net = cluster.network("n1", "10.50.0.0/24", second)
    got = [cluster.attach("h1", net, ip) for ip in ("10.50.0.30", "10.51.0.9", "10.50.0.40")]
    assert [str(one.ip) for one in got] == ["10.50.0.30/24", "10.51.0.9/24", "10.50.0.40/24"]
    assert {balancer_of(one) for one in got} == {"10.50.0.2"}


def test_pools_of_the_swarm(etcd: Etcd) -> None:
    """Recorded as swarm-addr-pool: /26 of 10.100.0.0/16, the subnet of a removed network again."""
    made = Cluster(etcd, ("h1",), Swarm("s", (IPv4Network("10.100.0.0/16"),), 26))
    made.ingress()
    n2 = made.network("n2", "10.100.0.128/26")
    n3 = made.network("n3")
    got = [made.attach("h1", net) for net in (n2, n3, n2)]
    assert [(ip_of(one), balancer_of(one)) for one in got] == [
        ("10.100.0.130", "10.100.0.131"),
        ("10.100.0.66", "10.100.0.67"),
        ("10.100.0.132", "10.100.0.131"),
    ]


# -- in the store ---------------------------------------------------------------------


def test_a_released_address_rests_until_the_subnet_has_gone_round(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/29")
    first = container(net)
    endpoints.attach(cluster.etcd, "h1", first)
    assert ip_of(cluster.attach("h1", net)) == "10.50.0.4"
    reservations.release(cluster.etcd, "h1", [first.endpoint])
    later = [ip_of(cluster.attach("h1", net)) for _ in range(3)]
    assert later == ["10.50.0.5", "10.50.0.6", "10.50.0.2"]


def test_a_second_subnet_serves_when_the_first_is_full(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/29", "10.51.0.0/29")
    got = [str(cluster.attach("h1", net).ip) for _ in range(5)]
    assert got[-2:] == ["10.50.0.6/29", "10.51.0.2/29"]


def test_a_full_network_says_so(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/30")
    with pytest.raises(Exhausted, match=r"no available IPv4 addresses .*n1"):
        cluster.attach("h1", net)


def test_a_full_network_reserves_nothing(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/30")  # room for a member, not for its balancer
    with pytest.raises(Exhausted):
        cluster.attach("h1", net)
    assert reservations.of_node(cluster.etcd, "h1") == []


def test_an_address_that_another_has_is_refused(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    cluster.attach("h1", net, "10.50.0.30")
    with pytest.raises(Conflict, match="Address already in use"):
        cluster.attach("h2", net, "10.50.0.30")


@pytest.mark.parametrize(
    ("ip", "said"),
    [
        ("10.99.0.1", "no configured subnet contains IP address 10.99.0.1"),
        ("10.50.0.255", "out of range"),
    ],
)
def test_an_address_outside_is_refused(cluster: Cluster, ip: str, said: str) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    with pytest.raises(Invalid, match=said):
        cluster.attach("h1", net, ip)


def test_the_gateway_s_address_is_nobody_s(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    with pytest.raises(Conflict, match="already in use"):
        cluster.attach("h1", net, "10.50.0.1")


def test_an_ip_range_is_kept_to(cluster: Cluster) -> None:
    net = cluster.network("n1", Pool(ip_network("10.50.0.0/24"), IPv4Network("10.50.0.128/29")))
    got = [cluster.attach("h1", net) for _ in range(6)]
    assert [ip_of(one) for one in got] == [f"10.50.0.{n}" for n in (129, 131, 132, 133, 134, 135)]


def test_both_families(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24", "fd00:50::/64", ipv6=True)
    got = cluster.attach("h1", net)
    assert (str(got.ip), str(got.ip6)) == ("10.50.0.2/24", "fd00:50::2/64")


def test_the_mac_follows_from_the_address(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    assert cluster.attach("h1", net).mac == "02:42:0a:32:00:02"


def test_a_mac_that_was_asked_for_is_kept(cluster: Cluster) -> None:
    net = cluster.network("n1", "10.50.0.0/24")
    asked = AttachRequest(new_id(), net.id, new_id(), mac="02:00:00:00:00:01")
    assert endpoints.attach(cluster.etcd, "h1", asked).mac == "02:00:00:00:00:01"
