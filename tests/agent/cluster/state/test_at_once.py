"""Many that want addresses at once: none is given twice, none is lost, none is left out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from threading import Barrier
from typing import Any

import pytest

from plumb.agent.cluster.state import endpoints, keys, reservations
from plumb.agent.cluster.state.etcd import Etcd
from plumb.agent.cluster.state.etcd.client import TxnAnswer
from plumb.agent.cluster.state.etcd.operations import below
from plumb.errors import Conflict, Exhausted
from plumb.model.cnm import Network
from tests import REPOSITORY
from tests.agent.cluster.state.clusters import Cluster, container, ip_of
from tests.agent.cluster.state.etcd_process import Members

HOSTS = tuple(f"h{number}" for number in range(10))
EACH = 50


@pytest.fixture
def crowd(etcd: Etcd) -> Cluster:
    """Ten nodes."""
    return Cluster(etcd, HOSTS)


@pytest.mark.parametrize("managers", [1, 10])
def test_ten_hosts_with_fifty_containers_each(crowd: Cluster, managers: int) -> None:
    """No address twice, none lost: 500 containers and 10 balancers fill the subnet's start."""
    net = crowd.network("n1", "10.50.0.0/16")
    given = (_threads if managers == 1 else _processes)(crowd, net)
    own = [str(one.ip.ip) for host in HOSTS for one in _balancers(crowd, host) if one.ip]
    assert len(given) == 500
    assert len(set(given + own)) == 510
    assert {int(IPv4Address(ip)) - int(net.pools[0].subnet[0]) for ip in given + own} == set(
        range(2, 512)
    )


def _threads(crowd: Cluster, net: Network) -> list[str]:
    """Ten threads of one manager."""

    def run(host: str) -> list[str]:
        return [ip_of(endpoints.reserve(crowd.etcd, host, container(net))) for _ in range(EACH)]

    with ThreadPoolExecutor(10) as pool:
        return [ip for some in pool.map(run, HOSTS) for ip in some]


def _processes(crowd: Cluster, net: Network) -> list[str]:
    """Ten managers, each a process."""
    running = [manager(crowd, host, net) for host in HOSTS]
    outputs = [one.communicate(timeout=600)[0] for one in running]
    return [line.partition("/")[0] for output in outputs for line in output.split()]


def manager(crowd: Cluster, host: str, net: Network) -> subprocess.Popen[str]:
    """Start a process that attaches fifty containers one after the other."""
    module = "tests.agent.cluster.state.manager"
    return subprocess.Popen(
        [sys.executable, "-m", module, str(crowd.etcd.address), host, net.id, str(EACH)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def _balancers(crowd: Cluster, host: str) -> Iterator[reservations.Reservation]:
    return (one for one in reservations.of_node(crowd.etcd, host) if not one.sandbox)


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


def test_the_last_two_members_leave_at_the_same_moment(crowd: Cluster) -> None:
    """Each sees the other when it looks; the one whose transaction is later takes the balancer."""
    net = crowd.network("n1", "10.50.0.0/16")
    members = [container(net), container(net)]
    for one in members:
        endpoints.reserve(crowd.etcd, "h0", one)
    both_have_looked = Barrier(2, timeout=60)

    class Manager(Etcd):
        """A manager whose first transaction waits for the other's."""

        waits = True

        def txn(self, *given: Any, **named: Any) -> TxnAnswer:
            if self.waits:
                self.waits = False
                both_have_looked.wait()
            return super().txn(*given, **named)

    def leave(endpoint: str) -> None:
        with closing(Manager(crowd.etcd.address)) as manager:
            reservations.release(manager, "h0", [endpoint])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(leave, [one.endpoint for one in members]))
    assert reservations.of_node(crowd.etcd, "h0") == []
    left = crowd.etcd.range(below(keys.ADDRESSES + net.id + "/")).keys
    assert [str(keys.address_of(one.key)) for one in left] == ["10.50.0.1"]


def test_of_those_that_ask_for_the_same_address_one_gets_it(crowd: Cluster) -> None:
    net = crowd.network("n1", "10.50.0.0/24")

    def ask(host: str) -> bool:
        with closing(Etcd(crowd.etcd.address)) as manager:
            try:
                endpoints.reserve(manager, host, container(net, "10.50.0.30"))
            except Conflict:
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
            except Exhausted:
                return count

    with ThreadPoolExecutor(10) as pool:
        members = sum(pool.map(fill, HOSTS))
    balancers = sum(1 for host in HOSTS for _ in _balancers(crowd, host))
    assert members + balancers == 29


def test_etcd_is_killed_and_started_under_use(own: Members) -> None:
    """Ten threads attach meanwhile; each gets its answers, and no address twice."""
    member = own.each[0]
    with closing(member.client(patience=60)) as etcd:
        made = Cluster(etcd, HOSTS)
        net = made.network("n1", "10.50.0.0/16")

        def run(host: str) -> list[str]:
            return [ip_of(endpoints.reserve(etcd, host, container(net))) for _ in range(10)]

        with ThreadPoolExecutor(10) as pool:
            running = [pool.submit(run, host) for host in HOSTS]
            for _ in range(3):
                time.sleep(0.1)
                member.kill()
                member.start()
            given = [ip for one in running for ip in one.result()]
        held = [str(one.ip.ip) for host in HOSTS for one in _members(made, host) if one.ip]
    assert len(set(given)) == 100
    assert sorted(given) == sorted(held)


def _members(made: Cluster, host: str) -> Iterator[reservations.Reservation]:
    return (one for one in reservations.of_node(made.etcd, host) if one.sandbox)


def test_what_an_endpoint_costs(crowd: Cluster) -> None:
    """Requests to etcd and their bytes, for an attachment that is published."""
    net = crowd.network("n1", "10.50.0.0/16")
    crowd.run("h0", net)  # the node's balancer with it
    before = replace(crowd.etcd.traffic)
    crowd.run("h0", net)
    spent = crowd.etcd.traffic
    assert spent.requests - before.requests == 5
    assert spent.sent - before.sent < 6000
    assert spent.received - before.received < 6000
