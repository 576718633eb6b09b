"""Many that want addresses at once: none is given twice, none is lost, none is left out."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing

import pytest

from plumb.agent.cluster.state import addresses, endpoints, keys, reservations
from plumb.agent.cluster.state.etcd import Etcd, UnixSocket
from plumb.agent.cluster.state.etcd.operations import below
from plumb.model.cnm import Network
from tests.agent.cluster.state.clusters import Cluster, container, ip_of

HOSTS = tuple(f"h{number}" for number in range(10))
EACH = 50


@pytest.fixture
def crowd(etcd: Etcd) -> Cluster:
    """Ten nodes."""
    return Cluster(etcd, HOSTS)


def attached(socket: str, host: str, net: Network) -> list[str]:
    """Attach fifty containers one after the other, as a manager of its own does."""
    with closing(Etcd(UnixSocket(socket))) as etcd:
        wishes = [container(net) for _ in range(EACH)]
        return [ip_of(endpoints.reserve(etcd, host, wish)) for wish in wishes]


@pytest.mark.parametrize("managers", [1, 10])
def test_ten_hosts_with_fifty_containers_each(crowd: Cluster, managers: int) -> None:
    """No address twice, none lost: 500 containers and 10 balancers fill the subnet's start."""
    net = crowd.network("n1", "10.50.0.0/16")
    began = time.monotonic()
    given = (_threads if managers == 1 else _processes)(crowd, net)
    print(f"{managers} managers: {len(given) / (time.monotonic() - began):.0f} attaches/s")
    own = [str(one.ip.ip) for host in HOSTS for one in _balancers(crowd, host) if one.ip]
    assert len(given) == 500
    assert sorted(map(_number, given + own)) == list(range(2, 512))


def _threads(crowd: Cluster, net: Network) -> list[str]:
    """Ten threads of one manager."""

    def run(host: str) -> list[str]:
        return [ip_of(endpoints.reserve(crowd.etcd, host, container(net))) for _ in range(EACH)]

    with ThreadPoolExecutor(10) as pool:
        return [ip for some in pool.map(run, HOSTS) for ip in some]


def _processes(crowd: Cluster, net: Network) -> list[str]:
    """Ten managers, each a process."""
    socket = str(crowd.etcd.address)
    with ProcessPoolExecutor(10, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(attached, socket, host, net) for host in HOSTS]
        return [ip for one in running for ip in one.result()]


def _balancers(crowd: Cluster, host: str) -> Iterator[reservations.Reservation]:
    return (one for one in reservations.of_node(crowd.etcd, host) if not one.sandbox)


def _number(ip: str) -> int:
    _, _, third, fourth = map(int, ip.split("."))
    return third * 256 + fourth


def test_one_node_s_members_that_come_and_go_share_its_balancer(crowd: Cluster) -> None:
    """Whoever is last takes it along, whoever is first brings it, and no address stays behind."""
    net = crowd.network("n1", "10.50.0.0/16")

    def come_and_go(_number: int) -> None:
        with closing(Etcd(crowd.etcd.address)) as manager:
            for _ in range(10):
                wish = container(net)
                got = endpoints.reserve(manager, "h0", wish)
                assert got.balancer
                reservations.release(manager, "h0", [wish.endpoint])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(come_and_go, range(6)))
    left = crowd.etcd.range(below(keys.ADDRESSES + net.id + "/")).keys
    assert [str(keys.address_of(one.key)) for one in left] == ["10.50.0.1"]
    assert reservations.of_node(crowd.etcd, "h0") == []


def test_of_those_that_ask_for_the_same_address_one_gets_it(crowd: Cluster) -> None:
    net = crowd.network("n1", "10.50.0.0/24")

    def ask(host: str) -> bool:
        with closing(Etcd(crowd.etcd.address)) as manager:
            try:
                endpoints.reserve(manager, host, container(net, "10.50.0.30"))
            except addresses.Conflict:
                return False
            return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(ask, HOSTS)) == 1


def test_a_subnet_is_filled_to_the_last_address(crowd: Cluster) -> None:
    """Room for 29: ten balancers, and whoever comes first."""
    net = crowd.network("n1", "10.50.0.0/27")

    def fill(host: str) -> int:
        with closing(Etcd(crowd.etcd.address)) as manager:
            count = 0
            try:
                while True:
                    endpoints.reserve(manager, host, container(net))
                    count += 1
            except addresses.Exhausted:
                return count

    with ThreadPoolExecutor(10) as pool:
        members = sum(pool.map(fill, HOSTS))
    balancers = sum(1 for host in HOSTS for _ in _balancers(crowd, host))
    assert members + balancers == 29
