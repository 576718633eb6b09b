"""Configurations of networks (`--config-only`), and networks that take one over, on a dict.

The words of refusals are moby's."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ETIMEDOUT
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from plumb import Conflict, Host, Invalid, NotFound, Unsupported
from plumb.engine.cluster import tasks
from plumb.engine.lifecycle import endings
from plumb.errors import KernelRefused
from plumb.kernel.system import System
from plumb.model.cluster import NodeRole
from plumb.model.cnm import Attachment, Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import ServiceNetwork, ServiceSpec
from plumb.model.service.task import Task
from plumb.things.links import Macvlan
from plumb.views.inspect import networks as docker
from tests.fake_cluster import FakeCluster, node
from tests.memory_host import MemoryHosts

HERE = ip_address("192.0.2.10")
ETH0 = System(kind_of={"eth0": ""}.get)
LAN: dict[str, Any] = {
    "subnet": "198.51.100.0/24",
    "ip_range": "198.51.100.64/28",
    "gateway": "198.51.100.1",
    "options": {"parent": "eth0"},
}


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster that this host is a manager of."""
    return FakeCluster(node(HERE))


@pytest.fixture
def host(memory_host: MemoryHosts, cluster: FakeCluster) -> Iterator[Host]:
    """This host, with the link eth0 and the configuration lan."""
    with memory_host(ETH0, cluster=cluster) as made:
        made.create_network("lan", config_only=True, labels={"at": "home"}, **LAN)
        yield made


def shared(host: Host, attachable: bool = True) -> Network:
    """A network of the cluster that each node builds on its configuration lan."""
    return host.create_network(
        "wire", driver="macvlan", attachable=attachable, scope="swarm", config_from="lan"
    )


def task_on(net: Network) -> Assignment:
    """A task of the service web on a network that each node builds for itself."""
    spec = ServiceSpec("web", networks=(ServiceNetwork(net.id),))
    return Assignment(Task("t" * 25, "s" * 25, slot=1), spec, own=(net,))


# -- on one host ----------------------------------------------------------------------


def test_a_configuration_is_a_network_of_no_driver(host: Host) -> None:
    shown = docker.network(host.network("lan"))
    assert (shown["Driver"], shown["Scope"], shown["ConfigOnly"]) == ("null", "local", True)
    assert shown["IPAM"]["Config"][0]["Subnet"] == LAN["subnet"]


def test_a_configuration_takes_any_driver_and_has_none(host: Host) -> None:
    """moby sets the driver aside before it looks for it."""
    assert host.create_network("other", config_only=True, driver="nosuch").driver == "null"


def test_nobody_can_be_on_a_configuration(host: Host) -> None:
    with pytest.raises(Invalid, match="cannot create endpoint on configuration-only network"):
        host.run("c1", network="lan")


def test_a_network_takes_all_of_a_configuration(host: Host) -> None:
    net = host.create_network("wire", driver="macvlan", config_from="lan")
    assert (net.parent, net.labels) == ("eth0", (("at", "home"),))
    host.run("c1", network="wire")
    (end,) = host.endpoints(net)
    assert str(end.ip) == "198.51.100.64/24"
    assert docker.network(net)["ConfigFrom"] == {"Network": "lan"}


def test_a_configuration_in_use_cannot_be_removed(host: Host) -> None:
    host.create_network("wire", driver="macvlan", config_from="lan")
    with pytest.raises(Conflict, match='configuration network "lan" is in use'):
        host.remove_network("lan")
    host.remove_network("wire")
    host.remove_network("lan")


def test_pruning_leaves_configurations(host: Host) -> None:
    host.create_network("unused")
    assert [net.name for net in host.prune_networks()] == ["unused"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"config_only": True, "internal": True}, "can only contain network specific fields"),
        ({"config_only": True, "attachable": True}, "can only contain network specific fields"),
        ({"config_only": True, "ingress": True}, "can only contain network specific fields"),
        ({"config_only": True, "scope": "swarm"}, "can only contain network specific fields"),
        ({"config_only": True, "config_from": "lan"}, "cannot depend on another configuration"),
        ({"config_from": "lan", "subnet": "10.1.0.0/24"}, "user-specified configurations are not"),
        ({"config_from": "lan", "ipv6": True}, "user-specified configurations are not supported"),
        ({"config_from": "lan", "labels": {"a": "b"}}, "user-specified configurations are not"),
        (
            {"config_from": "lan", "driver": "macvlan", "options": {"parent": "eth0"}},
            "network drive",
        ),
        ({"scope": "global"}, "invalid scope 'global'"),
        ({"scope": "local", "driver": "overlay"}, "cannot downgrade network scope for overlay"),
        ({"scope": "swarm", "subnet": "10.1.0.0/24"}, "are the node's own"),
        ({"scope": "swarm", "driver": "host"}, 'only one instance of "host" network is allowed'),
        ({"config_from": "lan"}, "'parent'"),
    ],
)
def test_what_does_not_go_together(host: Host, asked: dict[str, object], words: str) -> None:
    """The last one: an option of the configuration is none of the driver bridge."""
    with pytest.raises((Invalid, Conflict), match=words):
        host.create_network("n1", **asked)  # type: ignore[arg-type]  # keywords by name


def test_a_configuration_that_is_not_there(host: Host) -> None:
    host.create_network("plain")
    for name in ("nosuch", "plain"):
        with pytest.raises(NotFound, match=f'configuration network "{name}" does not exist'):
            host.create_network("n1", driver="macvlan", config_from=name)


# -- on each node of a cluster ---------------------------------------------------------


def test_a_shared_network_is_the_clusters_and_built_here_for_the_first_container(
    host: Host, cluster: FakeCluster
) -> None:
    net = shared(host)
    assert [one.name for one in cluster.networks()] == ["wire"]
    assert "wire" not in [one.name for one in host.networks()]
    assert docker.scope(net) == "swarm"

    host.run("c1", network="wire")
    here = host.network("wire")
    assert (here.id, here.parent, docker.scope(here)) == (net.id, "eth0", "swarm")
    assert any(isinstance(thing, Macvlan) for thing in host.store.things())

    host.remove("c1", force=True)
    assert "wire" not in [one.name for one in host.networks()]
    assert [one.name for one in cluster.networks()] == ["wire"]


def test_a_container_may_ask_for_an_address_that_the_configuration_has(host: Host) -> None:
    shared(host)
    wish = Attachment("wire", ip=IPv4Address("198.51.100.70"))
    host.run("c1", network=wish)
    (end,) = host.endpoints(host.network("wire"))
    assert str(end.ip) == "198.51.100.70/24"


def test_a_shared_network_that_is_not_attachable_is_for_services_alone(host: Host) -> None:
    net = shared(host, attachable=False)
    with pytest.raises(Invalid, match="network wire not manually attachable"):
        host.run("c1", network="wire")
    tasks.begin(host, [task_on(net)], node(HERE))
    (end,) = host.endpoints(host.network("wire"))
    assert str(end.ip) == "198.51.100.64/24"


def test_a_node_without_the_configuration_says_so(host: Host) -> None:
    net = shared(host)
    host.remove_network("lan")
    with pytest.raises(NotFound, match='configuration network "lan" does not exist'):
        tasks.begin(host, [task_on(net)], node(HERE))
    assert host.containers() == []


def test_the_driver_bridge_needs_no_configuration(host: Host) -> None:
    """Each node chooses a subnet from its own pools."""
    host.create_network(
        "n1",
        scope="swarm",
        attachable=True,
        options={"com.docker.network.bridge.enable_icc": "false"},
    )
    host.run("c1", network="n1")
    here = host.network("n1")
    assert here.pool(4) is not None
    assert not here.bridge.icc


def test_removal_waits_for_this_hosts_containers(host: Host, cluster: FakeCluster) -> None:
    shared(host)
    host.run("c1", network="wire")
    with pytest.raises(Conflict, match="network wire has active endpoints"):
        host.remove_network("wire")
    assert host.prune_networks() == []
    host.remove("c1", force=True)
    host.remove_network("wire")
    assert cluster.networks() == []


def test_a_task_leaves_a_network_of_this_host_with_the_same_name_alone(
    host: Host, cluster: FakeCluster
) -> None:
    net = shared(host)
    cluster.nets.clear()
    mine = host.create_network("wire")
    host.run("c1", network="wire")
    with pytest.raises(Conflict, match="network with name wire already exists on this host"):
        tasks.begin(host, [task_on(net)], node(HERE))
    assert host.network("wire") == mine
    assert [box.name for box in host.containers()] == ["c1"]
    assert len(host.endpoints(mine)) == 1


def test_an_overlay_network_leaves_one_of_this_host_with_the_same_name_alone(
    host: Host, cluster: FakeCluster
) -> None:
    net = host.create_network("wide", driver="overlay", attachable=True)
    cluster.nets.clear()
    mine = host.create_network("wide")
    cluster.nets[net.id] = net
    with pytest.raises(Conflict, match="network with name wide already exists on this host"):
        host.run("c1", network=net.id)
    assert host.network("wide") == mine
    assert cluster.reserved == {}


def test_a_container_starts_again_while_no_manager_answers(
    host: Host, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host keeps its part of the network as long as the container is there."""
    shared(host)
    host.run("c1", network="wire", restart="always", command=["x"])
    with host.change() as op:
        endings.ended(op, "c1", 1)
    no_manager(monkeypatch, cluster)
    host.resume("c1")
    assert (host.container("c1").status, len(host.endpoints(host.container("c1")))) == (
        "running",
        1,
    )
    host.stop("c1")
    host.start("c1")

    host.stop("c1")
    host.remove("c1")
    assert "wire" not in [one.name for one in host.networks()]


def no_manager(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> None:
    """Have no manager answer from now on."""

    def away(*asked: object) -> Network:
        raise KernelRefused("ask a manager", ETIMEDOUT)

    for name in ("network", "attach", "remove_network"):
        monkeypatch.setattr(cluster, name, away)


def test_a_part_goes_with_the_last_container_that_disconnects(host: Host) -> None:
    shared(host)
    host.create_network("own")
    for name in ("c1", "c2"):
        host.run(name, network=[Attachment("own"), Attachment("wire")])
    host.stop("c2")
    host.disconnect("wire", "c1")
    assert "wire" in [one.name for one in host.networks()]
    host.disconnect("wire", "c2")
    assert "wire" not in [one.name for one in host.networks()]


def test_the_cluster_knows_which_hosts_have_built_a_network(
    host: Host, cluster: FakeCluster
) -> None:
    net = shared(host)
    for name in ("c1", "c2"):
        host.run(name, network="wire")
    assert cluster.parts == {net.id}
    host.remove("c1", force=True)
    host.stop("c2")
    assert cluster.parts == {net.id}
    host.remove("c2")
    assert cluster.parts == set()


def test_a_start_that_fails_leaves_no_part(host: Host, cluster: FakeCluster) -> None:
    shared(host)
    with pytest.raises(Conflict):
        host.run("c1", network=Attachment("wire", ip=IPv4Address("198.51.100.1")))
    assert cluster.parts == set()


def test_a_network_that_another_node_has_built_stays(host: Host, cluster: FakeCluster) -> None:
    net = shared(host)
    cluster.parts_elsewhere.add(net.id)
    with pytest.raises(Conflict, match="is in use"):
        host.remove_network("wire")
    assert host.prune_networks() == []
    assert cluster.networks() == [net]


def test_removal_takes_the_part_of_a_stopped_container_along(
    host: Host, cluster: FakeCluster
) -> None:
    """As with any network, whose stopped containers do not keep it."""
    shared(host)
    host.run("c1", network="wire")
    host.stop("c1")
    host.remove_network("wire")
    assert cluster.networks() == []
    assert "wire" not in [one.name for one in host.networks()]
    with pytest.raises(NotFound):
        host.start("c1")


def test_removal_waits_for_the_operation_by_which_a_container_leaves(
    host: Host, cluster: FakeCluster
) -> None:
    """If that failed, the container would be on a network that is gone."""
    shared(host)
    host.run("c1", network="wire")
    with host.operation() as verbs:
        verbs.remove("c1", force=True)
        with pytest.raises(Conflict, match="until this operation has ended"):
            verbs.remove_network("wire")
        verbs.run("c2", network="wire")
    assert [one.name for one in cluster.networks()] == ["wire"]
    assert [box.name for box in host.containers()] == ["c2"]


def test_a_worker_makes_none(host: Host, cluster: FakeCluster) -> None:
    cluster.me = node(HERE, NodeRole.WORKER)
    with pytest.raises(Unsupported, match="This node is not a swarm manager"):
        shared(host)
