"""Networks of the cluster in a host's intent: they come with the first container, and go with the
last."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, ip_address

import pytest

from plumb import Conflict, Host, Invalid, NotFound, StepFailed, Unsupported
from plumb.engine.cluster import attach, tasks
from plumb.errors import KernelRefused
from plumb.kernel.system import System
from plumb.model.cluster import Attached, AttachRequest, NodeRole
from plumb.model.cnm import Network, Role
from plumb.model.lifecycle import CommandOptions, LogOptions
from plumb.model.net.gateways import GATEWAY_NETWORK
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import Health, ServiceSpec
from plumb.model.service.task import Place, Task
from plumb.model.settings import Settings
from plumb.plan import Step, in_order
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan
from tests.cases import KEYS
from tests.fake_cluster import INGRESS, OTHER, FakeCluster, node, remote
from tests.memory_host import MemoryHosts

HERE = ip_address("192.0.2.10")


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster that this host is a manager of."""
    return FakeCluster(node(HERE))


@pytest.fixture
def here(memory_host: MemoryHosts, cluster: FakeCluster) -> Iterator[Host]:
    """This host, with an attachable network n1 of 10.50.0.0/24 in its cluster."""
    with memory_host(System(), cluster=cluster) as host:
        host.create_network("n1", driver="overlay", attachable=True, subnet="10.50.0.0/24")
        yield host


def of_overlays(host: Host) -> list[Network]:
    """The networks of the cluster in a host's intent."""
    return [net for net in host.networks() if net.multi_host]


def test_a_network_alone_is_the_cluster_s(here: Host, cluster: FakeCluster) -> None:
    """To create it changes nothing on this host; a manager shows it all the same."""
    assert [net.name for net in cluster.networks()] == ["n1"]
    assert of_overlays(here) == []
    assert here.network("n1").overlay.vnis == (4097,)
    assert "n1" in [net.name for net in here.elsewhere()]


def test_the_first_container_brings_it(here: Host) -> None:
    """With a balancer, whose address comes after the container's."""
    box = here.run("c1", network="n1")
    net = here.network("n1")
    ends = here.endpoints(net)

    assert [str(end.ip) for end in ends] == ["10.50.0.2/24", "10.50.0.3/24"]
    assert [end.mac for end in ends] == ["02:42:0a:32:00:02", "02:42:0a:32:00:03"]
    assert [end.link for end in ends] == ["veth0", "veth1"]
    assert [end.sandbox for end in ends] == [box.id, f"lb_{net.id}"]
    assert net.overlay.vtep == HERE


def test_the_way_out_is_another_network(here: Host) -> None:
    """The network's gateway leads to its other subnets only; --internal has no way out at all."""
    here.create_network("n2", driver="overlay", attachable=True, internal=True)
    one, two = here.run("c1", network="n1"), here.run("c2", network="n2")

    assert [here.network(end.network).name for end in here.endpoints(one)] == [
        "n1",
        GATEWAY_NETWORK,
    ]
    assert [here.network(end.network).name for end in here.endpoints(two)] == ["n2"]


def test_the_last_container_takes_it_along(here: Host, cluster: FakeCluster) -> None:
    """And the balancer; all addresses are given back."""
    here.run("c1", network="n1")
    here.run("c2", network="n1")
    here.remove("c1", force=True)
    assert [net.name for net in of_overlays(here)] == ["n1"]
    here.stop("c2")

    assert of_overlays(here) == []
    assert here.balancers() == []
    assert cluster.reserved == {}


def test_a_stopped_container_comes_back(here: Host) -> None:
    """Its place in the network is remembered by the network's id."""
    here.run("c1", network="n1")
    here.restart("c1")
    assert [net.name for net in of_overlays(here)] == ["n1"]


def test_disconnect_takes_it_along_too(here: Host) -> None:
    """Connect brings it back."""
    here.create_network("other")
    box = here.run("c1", network="other")
    here.connect("n1", "c1")
    assert len(here.endpoints(box)) == 2
    here.disconnect("n1", "c1")
    assert of_overlays(here) == []


def test_balancers_are_no_containers(here: Host) -> None:
    """They are not listed, and no command takes them; a container may have any name."""
    here.run("c1", network="n1")

    assert [box.name for box in here.containers()] == ["c1"]
    assert [box.role for box in here.balancers()] == [Role.BALANCER]
    for reference in ("/lb-n1", "lb-n1", here.balancers()[0].id):
        with pytest.raises(NotFound):
            here.container(reference)
    here.run("lb-n1", network="n1")


def test_a_refused_step_gives_the_addresses_back(
    here: Host, cluster: FakeCluster, memory_host: MemoryHosts
) -> None:
    """Nothing is left in the cluster of an operation that failed."""
    taken = memory_host.kernel.take

    def refuse(steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step.after, Vxlan):
                raise StepFailed(KernelRefused(str(step), said="refused by the test"), step, [])
        taken(steps)

    memory_host.kernel.take = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(StepFailed):
        here.run("c1", network="n1")
    memory_host.kernel.take = taken  # type: ignore[method-assign]
    assert cluster.reserved == {}


def test_what_others_have_is_built(here: Host, cluster: FakeCluster) -> None:
    """A neighbour and an FDB entry for each endpoint elsewhere, and nothing for those here."""
    cluster.others = {9: "c9", 10: ""}
    here.run("c1", network="n1")
    things = here.store.things()

    assert {(str(t.ip), t.mac) for t in things if isinstance(t, Neighbour)} == {
        ("10.50.0.9", "02:42:0a:32:00:09"),
        ("10.50.0.10", "02:42:0a:32:00:0a"),
    }
    assert {(t.mac, t.vtep) for t in things if isinstance(t, FdbEntry)} == {
        ("02:42:0a:32:00:09", OTHER),
        ("02:42:0a:32:00:0a", OTHER),
    }


def test_a_listing_replaces_what_was_known(here: Host) -> None:
    """What is new comes, what has moved moves, what is gone goes."""
    here.run("c1", network="n1")
    net = here.network("n1")
    for listing in (
        [remote(net, 20), remote(net, 21)],
        [remote(net, 21, HERE), remote(net, 22)],
        [],
    ):
        with here._within() as op:
            attach.apply(op, net.id, listing)
        assert here.store.remotes(net.id) == listing
        there = [t for t in here.store.things() if isinstance(t, FdbEntry)]
        assert {(t.mac, t.vtep) for t in there} == {(end.mac, end.vtep) for end in listing}


def test_a_listing_of_a_network_that_nobody_here_is_on(here: Host) -> None:
    """It is passed over."""
    net = here.network("n1")
    with here._within() as op:
        attach.apply(op, net.id, [remote(net, 20)])
    assert here.store.remotes(net.id) == []


def test_every_endpoint_has_a_record(here: Host) -> None:
    """By which other hosts reach it; the balancer's has no names."""
    box = here.run("c1", network="n1")
    records = [t for t in here.store.things() if isinstance(t, EndpointRecord)]
    assert {(str(t.ip), t.names, t.sandbox) for t in records} == {
        ("10.50.0.2/24", ("c1", box.id[:12]), box.id),
        ("10.50.0.3/24", (), ""),
    }


def test_who_may_not_join_is_told(here: Host) -> None:
    """In Docker's words."""
    here.create_network("n2", driver="overlay")
    with pytest.raises(Invalid, match="network n2 not manually attachable"):
        here.run("c1", network="n2")


def test_a_host_in_no_cluster_makes_no_overlay(host: Host) -> None:
    """In Docker's words."""
    with pytest.raises(Unsupported, match="This node is not a swarm manager"):
        host.create_network("n1", driver="overlay")


def test_a_worker_makes_none(here: Host, cluster: FakeCluster) -> None:
    """Nor does it remove one."""
    cluster.me = node(HERE, NodeRole.WORKER)
    with pytest.raises(Unsupported, match="Worker nodes"):
        here.create_network("n2", driver="overlay")
    with pytest.raises(Unsupported, match="Worker nodes"):
        here.remove_network("n1")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ipv4": False}, "IPv4 cannot be disabled in a Swarm scoped network"),
        ({"options": {"com.docker.network.driver.mtu": "-1"}}, "invalid MTU value: -1"),
        ({"ipv6": True, "subnet": ["10.9.0.0/24", "fd00::/64", "fd01::/64"]}, "IPv6 subnets"),
        ({"ipv6": True, "options": {"com.docker.network.driver.mtu": "1300"}}, "IPv6 needs 1280"),
        ({"options": {"encrypt": ""}}, "unknown option"),
    ],
)
def test_what_does_not_go_is_refused(here: Host, asked: dict[str, object], words: str) -> None:
    """At once, with the reason."""
    with pytest.raises(Invalid, match=words):
        here.create_network("n2", driver="overlay", **asked)  # type: ignore[arg-type]


def test_a_name_is_given_once(here: Host) -> None:
    """To networks of this host and of the cluster."""
    with pytest.raises(Conflict, match="network with name n1 already exists"):
        here.create_network("n1")


def test_a_network_in_use_stays(here: Host, cluster: FakeCluster) -> None:
    """The cluster says so; unused ones go with prune."""
    here.create_network("n2", driver="overlay")
    here.run("c1", network="n1")
    cluster.publish(
        [
            {"id": t.endpoint, "network": t.network}
            for t in here.store.things()
            if isinstance(t, EndpointRecord)
        ]
    )
    with pytest.raises(Conflict):
        here.remove_network("n1")
    assert [net.name for net in here.prune_networks() if net.multi_host] == ["n2"]


# -- a node's own ---------------------------------------------------------------


def joined(host: Host, cluster: FakeCluster) -> None:
    """Make a host a node."""
    cluster.nets[INGRESS.id] = INGRESS
    own = Attached(INGRESS, None, None, "", IPv4Interface("10.0.0.2/24"))
    with host._within() as op:
        attach.join(op, own)


def test_a_node_has_the_ingress_network(here: Host, cluster: FakeCluster) -> None:
    """With a balancer that has a way out: the first address of plumb_gwbridge."""
    joined(here, cluster)
    box = next(box for box in here.balancers() if box.role is Role.INGRESS)

    assert [(end.ifname, str(end.ip)) for end in here.endpoints(box)] == [
        ("eth0", "10.0.0.2/24"),
        ("eth1", "172.18.0.2/16"),
    ]
    assert here.namespace(box).endswith("/ingress_sbox")


def test_who_leaves_keeps_containers_and_the_gateway_network(
    here: Host, cluster: FakeCluster
) -> None:
    """All of the cluster's goes; a container runs on without."""
    joined(here, cluster)
    here.run("c1", network="n1")
    with here._within() as op:
        attach.depart(op)

    assert of_overlays(here) == []
    assert here.balancers() == []
    assert cluster.reserved == {}
    assert [net.name for net in here.networks() if net.name == GATEWAY_NETWORK]
    assert here.container("c1").status == "running"


def test_subnets_of_the_network_are_its_own(here: Host) -> None:
    """A bridge network does not take one of an overlay that is here."""
    here.run("c1", network="n1")
    with pytest.raises(Conflict, match="Pool overlaps"):
        here.create_network("b", subnet=str(IPv4Network("10.50.0.0/25")))


def test_a_task_has_the_options_of_its_service(here: Host, cluster: FakeCluster) -> None:
    """Those that a container has by flags of run."""
    spec = ServiceSpec(
        "web",
        sysctls=(("net/ipv4/ip_forward", "1"),),
        cap_add=("SYS_TIME",),
        cap_drop=("NET_RAW",),
        user="nobody",
        working_dir="/tmp",
        stop_signal="HUP",
        health=Health("true", start_interval=2.0),
        log_driver="local",
        log_options=("max-size=1m",),
    )
    task = Task("t" * 25, "s" * 25, slot=1)
    tasks.begin(here, [Assignment(task, spec, ())], cluster.me)
    (box,) = tasks.here(here)
    assert box.sysctls == spec.sysctls
    assert (box.cap_add, box.cap_drop) == (("SYS_TIME",), ("NET_RAW",))
    assert box.command == CommandOptions("nobody", "/tmp", stop_signal="HUP")
    assert box.health.start_interval == 2.0
    assert (box.log.driver, box.log_size) == ("local", 1 << 20)


def test_a_task_s_log_options_are_those_of_json_file(here: Host, cluster: FakeCluster) -> None:
    """Without a driver, whatever the usual one of this host is; that has its own options."""
    settings = Settings(log_driver="syslog", log_opts=(("tag", "x"),))
    task = Task("t" * 25, "s" * 25, slot=1)
    found = {
        words: tasks.sandbox(
            Assignment(task, ServiceSpec("web", log_options=words), ()), cluster.me, settings
        )
        for words in ((), ("max-size=1m",))
    }
    own = found["max-size=1m",]
    assert found[()].log == LogOptions("syslog", (("tag", "x"),))
    assert (own.log.driver, own.log_size) == ("json-file", 1 << 20)


def test_a_task_brings_the_keys_of_its_encrypted_network(here: Host, cluster: FakeCluster) -> None:
    """As a container does; without keys nothing of the network would leave this host."""
    cluster.keys = KEYS
    net = here.create_network("n2", driver="overlay", options={"encrypted": ""})
    found = cluster.attach(AttachRequest("e" * 64, net.id))
    assert found.ip is not None
    task = Task("t" * 25, "s" * 25, slot=1, places=(Place(net.id, "e" * 64, found.ip),))
    tasks.begin(here, [Assignment(task, ServiceSpec("web"), (found,))], cluster.me)

    with here.change() as op:
        assert op.encryption() == KEYS


def test_all_that_is_published_is_published_together_behind_all_names(here: Host) -> None:
    """So that a host with many new containers asks its cluster process once."""
    with here.operation() as verbs:
        for name in ("c1", "c2", "c3"):
            verbs.run(name, network="n1")
    order = [type(thing) for thing in in_order(here.store.things())]
    first = order.index(EndpointRecord)
    count = order.count(EndpointRecord)
    assert count == 4  # of the containers, and of the host's own balancer
    assert order[first : first + count] == [EndpointRecord] * count
    assert Names not in order[first:]
