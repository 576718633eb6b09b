"""What a cluster bears: processes and etcd killed, managers gone, leases that expire."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from plumb.agent.cluster.state import reservations
from plumb.agent.cluster.state.etcd import Etcd, UnixSocket
from plumb.kernel.cluster import places
from plumb.model.cluster import AttachRequest, RemoteEndpoint
from plumb.model.cnm import Network
from tests.agent.cluster.hosts import Machine, hosts
from tests.waiting import until


@pytest.fixture
def swarm() -> Iterator[list[Machine]]:
    """A manager and a worker, to be broken."""
    with hosts(2) as made:
        first, second = made
        second.join(first.init()["worker"], first)
        yield made


@pytest.fixture
def managers() -> Iterator[list[Machine]]:
    """Three managers, to be broken."""
    with hosts(3) as made:
        token = made[0].init()["manager"]
        for other in made[1:]:
            other.join(token, made[0])
        yield made


def network(manager: Machine, name: str = "n1") -> Network:
    asked = Network(secrets.token_hex(32), name, "overlay", attachable=True)
    return manager.client.create_network(asked)


def run(machine: Machine, net: Network) -> RemoteEndpoint:
    """Reserve a container's addresses, write it down and publish it.

    A command holds the writers' lock for all of it, so the node never finds it published alone.
    """
    end = reserve(machine, net)
    machine.record(end)
    machine.client.publish([end])
    return end


def reserve(machine: Machine, net: Network) -> RemoteEndpoint:
    """Reserve a container's addresses; the endpoint, as it would be published."""
    wish = AttachRequest(secrets.token_hex(32), net.id, secrets.token_hex(32), ("web",))
    got = machine.client.attach(wish)
    own = machine.client.node()
    assert own is not None
    return RemoteEndpoint(
        wish.endpoint, net.id, own.id, own.data_path, got.mac, got.ip, got.ip6, wish.names,
        wish.sandbox,
    )  # fmt: skip


def known(machine: Machine, net: Network) -> set[str]:
    """Containers on other nodes that a node knows of; without balancers."""
    return {end.id for end in machine.client.remotes(net.id) if end.sandbox}


def test_an_endpoint_is_known_where_its_network_is(swarm: list[Machine]) -> None:
    first, second = swarm
    net, other = network(first), network(first, "n2")
    here, there = run(first, net), run(second, net)
    elsewhere = run(first, other)

    until(lambda: known(second, net) == {here.id})
    until(lambda: known(first, net) == {there.id})
    assert known(second, other) == set()

    first.client.withdraw([here.id])
    first.client.release([here.id, elsewhere.id])
    until(lambda: known(second, net) == set())


def test_a_killed_process_goes_on_with_what_it_published(swarm: list[Machine]) -> None:
    first, second = swarm
    net = network(first)
    here, there = run(first, net), run(second, net)
    until(lambda: known(first, net) == {there.id})

    second.kill()
    second.ask("status")  # any command starts it again
    until(lambda: known(second, net) == {here.id})

    assert there.id in {end.id for end in second.client.published()}
    assert known(first, net) == {there.id}


def test_what_goes_while_no_process_runs_is_withdrawn_later(swarm: list[Machine]) -> None:
    """A command that takes a container away finds nobody to tell; nor has it its addresses then."""
    first, second = swarm
    net = network(first)
    run(first, net)
    there, lost = run(second, net), reserve(second, net)
    until(lambda: known(first, net) == {there.id})
    second.client.publish([lost])  # and nothing of it is in the host's record
    until(lambda: known(first, net) == {there.id, lost.id})

    second.kill()
    with closing(Etcd(UnixSocket(f"{places.folder(first.layout)}/etcd:0"))) as etcd:
        reservations.release(etcd, lost.node, [lost.id])
    second.ask("status")

    until(lambda: lost.id not in {end.id for end in second.client.published()})
    until(lambda: second.ask("status")["connected"])
    assert known(first, net) == {there.id}


def test_a_killed_manager_serves_again(swarm: list[Machine]) -> None:
    first, second = swarm
    net = network(first)
    etcd = first.etcd
    first.kill()
    until(lambda: not os.path.exists(f"/proc/{etcd}"))  # it ends with its process
    first.ask("status")

    assert first.client.network("n1") == net
    assert second.client.network("n1") == net


def test_a_killed_etcd_is_started_again(swarm: list[Machine]) -> None:
    first, second = swarm
    net = network(first)
    os.kill(first.etcd, signal.SIGKILL)

    assert second.client.network("n1") == net


def test_a_lease_that_expired_comes_back_by_itself(swarm: list[Machine]) -> None:
    """A worker that is stopped for longer than its lease is down, and up again when it goes on."""
    first, second = swarm
    net = network(first)
    run(first, net)
    there = run(second, net)
    until(lambda: known(first, net) == {there.id})

    os.kill(second.pid, signal.SIGSTOP)
    until(lambda: known(first, net) == set())
    assert not any(node.id == there.node and node.alive for node in first.nodes().values())
    os.kill(second.pid, signal.SIGCONT)

    until(lambda: known(first, net) == {there.id})


def test_what_goes_while_no_manager_is_there_is_withdrawn_later(swarm: list[Machine]) -> None:
    first, second = swarm
    net = network(first)
    run(first, net)
    there = run(second, net)
    until(lambda: known(first, net) == {there.id})

    first.within("ip link set eth0 down")
    second.client.withdraw([there.id])
    first.within("ip link set eth0 up")

    until(lambda: known(first, net) == set())


def test_peers_stay_known_while_no_manager_is_there(swarm: list[Machine]) -> None:
    first, second = swarm
    net = network(first)
    here = run(first, net)
    run(second, net)
    until(lambda: known(second, net) == {here.id})

    first.kill()
    until(lambda: not second.ask("status")["connected"])

    assert known(second, net) == {here.id}


def test_three_managers_survive_one(managers: list[Machine]) -> None:
    first, second, third = managers
    net = network(first)
    run(second, net)
    there = run(third, net)
    until(lambda: known(second, net) == {there.id})

    first.within("ip link set eth0 down")

    made = network(second, "n2")
    assert third.client.network("n2") == made
    first.within("ip link set eth0 up")
    until(lambda: first.client.network("n2") == made)


def test_a_lost_quorum_is_said_and_regained(managers: list[Machine]) -> None:
    first, second, third = managers
    for other in (second, third):
        other.within("ip link set eth0 down")
    until(lambda: not first.ask("status")["connected"])

    second.within("ip link set eth0 up")

    until(lambda: first.ask("status")["connected"])
    assert network(first).name == "n1"
