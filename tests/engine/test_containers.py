"""Containers in the intent: addresses, interface names, gateways, and what a stop keeps.

On a kernel that is a dict.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plumb import Host
from plumb.errors import Conflict, Exhausted, Invalid, KernelRefused, NotFound
from plumb.kernel.memory import MemoryKernel
from plumb.model.cnm import Sandbox, Status
from plumb.plan import Step, StepFailed
from plumb.store.change import Change
from plumb.things.dns import Names
from plumb.things.layer3 import Route
from plumb.things.sandbox import GRACE, File, Process
from tests.memory_host import FRESH

IFNAME = "com.docker.network.endpoint.ifname"


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network("lab", subnet="10.9.0.0/24")
    return host


def ips(host: Host, box: Sandbox | str) -> list[str]:
    """A container's addresses, in the order in which its endpoints were made."""
    found = host.container(box) if isinstance(box, str) else box
    return [str(ip.ip) for end in host.endpoints(found) for ip in end.ips]


def names(host: Host, box: str) -> dict[str, str]:
    """Its interfaces' names by network."""
    return {
        host.network(end.network).name: end.ifname for end in host.endpoints(host.container(box))
    }


def leaves_by(host: Host, box: str) -> dict[str, str]:
    """Its default routes: destination and interface, as they are in the kernel."""
    assert isinstance(host.kernel, MemoryKernel)
    where = host.namespace(host.container(box))
    return {
        str(thing.dst): thing.dev
        for thing in host.kernel.things.values()
        if isinstance(thing, Route) and thing.ns == where
    }


# -- addresses ---------------------------------------------------------------


def test_addresses_are_handed_out_from_below(host: Host) -> None:
    """The gateway has the first."""
    assert [ips(host, host.run(name, network="lab")) for name in "abc"] == [
        ["10.9.0.2"],
        ["10.9.0.3"],
        ["10.9.0.4"],
    ]


def test_a_freed_address_is_the_next(host: Host) -> None:
    """At once, and the lowest."""
    for name in "abcd":
        host.run(name, network="lab")
    host.remove("c", force=True)
    host.remove("a", force=True)
    assert [ips(host, host.run(name, network="lab")) for name in "xyz"] == [
        ["10.9.0.2"],
        ["10.9.0.4"],
        ["10.9.0.6"],
    ]


def test_an_address_freed_in_the_same_operation_is_free(host: Host) -> None:
    """One operation sees its own releases."""
    host.run("a", network="lab")
    with host.operation() as verbs:
        verbs.remove("a", force=True)
        verbs.run("b", network="lab")
    assert ips(host, "b") == ["10.9.0.2"]


def test_a_refused_operation_hands_out_nothing(host: Host) -> None:
    """The address of a container that was not made is free."""
    with pytest.raises(Conflict):
        _fail(host)
    assert ips(host, host.run("b", network="lab")) == ["10.9.0.2"]


def _fail(host: Host) -> None:
    with host.operation() as verbs:
        verbs.run("a", network="lab")
        verbs.create_network("lab")


def test_a_static_address_is_gone_around(host: Host) -> None:
    """What somebody asked for by name is not handed out to others."""
    host.run("static", network="name=lab,ip=10.9.0.3")
    assert [ips(host, host.run(name, network="lab")) for name in "ab"] == [
        ["10.9.0.2"],
        ["10.9.0.4"],
    ]


def test_starts_are_numbered(host: Host) -> None:
    """From 0; a restart is one more, in an operation of its own or of many."""
    box = host.run("a", network="lab", command=["sleep", "1"])
    assert box.start == 0
    assert host.restart(box).start == 1
    with host.operation() as transaction:
        assert transaction.restart(box).start == 2
        assert transaction.run("b", network="lab").start == 0
    assert host.start(host.stop(box)).start == 3


def test_one_that_an_earlier_version_started_is_replaced_as_well(host: Host) -> None:
    """Its number was not recorded, which reads as 0."""
    box = host.create("a", network="lab")
    with host.store.lock():
        number = host.store.begin([], [], Change())
        host.store.finish(number, Change(put=(replace(box, started="2025-11-21T00:00:00Z"),)))
    assert host.start(box).start == 1


def test_a_static_address_survives_a_restart(host: Host) -> None:
    """What was asked for stays; what was chosen may change."""
    host.run("static", network="name=lab,ip=10.9.0.77")
    host.run("first", network="lab")
    host.stop("first")
    host.run("second", network="lab")
    host.start("first")
    host.restart("static")
    assert (ips(host, "static"), ips(host, "second"), ips(host, "first")) == (
        ["10.9.0.77"],
        ["10.9.0.2"],
        ["10.9.0.3"],
    )


def test_a_static_address_may_be_outside_the_range(host: Host) -> None:
    """The range is for those that are handed out by themselves."""
    host.create_network("ranged", subnet="10.8.0.0/24", ip_range="10.8.0.128/30")
    assert ips(host, host.run("a", network="name=ranged,ip=10.8.0.5")) == ["10.8.0.5"]
    assert ips(host, host.run("b", network="ranged")) == ["10.8.0.129"]


def test_a_static_address_in_a_subnet_that_was_chosen(host: Host) -> None:
    """Docker takes it there too."""
    host.create_network("auto")
    assert ips(host, host.run("a", network="name=auto,ip=172.18.0.9")) == ["172.18.0.9"]


@pytest.mark.parametrize(
    ("ip", "error", "message"),
    [
        ("10.9.0.1", Conflict, "Address already in use"),
        ("10.9.0.2", Conflict, "Address already in use"),
        ("10.9.0.0", Conflict, "Address already in use"),
        ("10.9.0.255", Conflict, "Address already in use"),
        ("10.8.0.1", Invalid, "no configured subnet contains IP address 10.8.0.1"),
    ],
)
def test_an_address_that_cannot_be_had(
    host: Host, ip: str, error: type[Exception], message: str
) -> None:
    """The gateway's, another's, nobody's, another subnet's."""
    host.run("first", network="lab")
    with pytest.raises(error, match=message):
        host.run("a", network=f"name=lab,ip={ip}")
    assert [box.name for box in host.containers()] == ["first"]


def test_a_small_subnet_is_soon_full(host: Host) -> None:
    """A /30 has room for the gateway and one; after that one has gone, for another."""
    host.create_network("tiny", subnet="10.8.0.0/30")
    host.run("a", network="tiny")
    with pytest.raises(
        Exhausted, match="no available IPv4 addresses on this network's address pools: tiny"
    ):
        host.run("b", network="tiny")
    host.remove("a", force=True)
    assert ips(host, host.run("b", network="tiny")) == ["10.8.0.2"]


def test_both_families(host: Host) -> None:
    """An address of each."""
    host.create_network("six", subnet=["10.8.0.0/24", "fd08::/64"], ipv6=True)
    assert ips(host, host.run("a", network="six")) == ["10.8.0.2", "fd08::2"]


@pytest.mark.parametrize(
    "asked",
    [
        {"sysctls": (("net/ipv6/conf/all/disable_ipv6", "1"),), "network": "six"},
        {
            "network": "name=six,driver-opt=com.docker.network.endpoint.sysctls="
            "net.ipv6.conf.IFNAME.disable_ipv6=1"
        },
    ],
)
def test_no_ipv6_address_where_ipv6_is_off(host: Host, asked: dict[str, Any]) -> None:
    """In the whole container, or on the interface alone."""
    host.create_network("six", subnet=["10.8.0.0/24", "fd08::/64"], ipv6=True)
    assert ips(host, host.run("a", **asked)) == ["10.8.0.2"]


# -- interface names ---------------------------------------------------------------


def test_interfaces_are_numbered_from_0(host: Host) -> None:
    """Each network takes the lowest free number."""
    host.run("a", network=["lab", "bridge"])
    assert names(host, "a") == {"lab": "eth0", "bridge": "eth1"}


def test_a_number_that_was_freed_is_taken_again(host: Host) -> None:
    """Disconnecting eth0 and connecting another network gives eth0."""
    host.create_network("other")
    host.run("a", network=["lab", "bridge"])
    host.disconnect("lab", "a")
    host.connect("other", "a")
    assert names(host, "a") == {"bridge": "eth1", "other": "eth0"}


def test_a_name_of_one_s_own(host: Host) -> None:
    """Exact; the numbers go on as if it were not there."""
    host.run("a", network=[f"name=lab,driver-opt={IFNAME}=wan", "bridge"])
    assert names(host, "a") == {"lab": "wan", "bridge": "eth0"}


def test_a_name_that_looks_like_a_number(host: Host) -> None:
    """Docker's own test: `eth1` is asked for, so others get eth0, then eth2.

    What is freed comes first.
    """
    for name in ("n1", "n2"):
        host.create_network(name)
    host.run("a", network=[f"name=lab,driver-opt={IFNAME}=eth1", "n1"])
    assert names(host, "a") == {"lab": "eth1", "n1": "eth0"}
    host.connect("n2", "a")
    assert names(host, "a")["n2"] == "eth2"
    host.disconnect("n1", "a")
    host.disconnect("n2", "a")
    host.connect("n2", "a")
    assert names(host, "a") == {"lab": "eth1", "n2": "eth0"}


def test_a_name_that_is_taken(host: Host) -> None:
    """Whether by another's wish or by a number; nothing has changed then."""
    with pytest.raises(Conflict, match="same name"):
        host.run(
            "a", network=[f"name=lab,driver-opt={IFNAME}=x", f"name=bridge,driver-opt={IFNAME}=x"]
        )
    host.run("b", network="lab")
    before = host.container("b")
    with pytest.raises(Conflict, match="file exists"):
        host.connect("bridge", "b", driver_opts=((IFNAME, "eth0"),))
    assert host.container("b") == before


def test_the_network_names_the_prefix(host: Host) -> None:
    """Numbers are per prefix."""
    host.create_network("p", options={"com.docker.network.container_iface_prefix": "net"})
    host.run("a", network=["lab", "p"])
    assert names(host, "a") == {"lab": "eth0", "p": "net0"}


# -- gateways ---------------------------------------------------------------


def test_the_gateway_follows_the_priority(host: Host) -> None:
    """Docker's own test.

    Networks connected one after the other take the default route over as their priorities say.
    """
    wishes = (("n1", 0), ("n2", 2), ("n3", 1), ("n4", 2), ("n5", -1))
    for name, _ in wishes:
        host.create_network(name)
    host.run("a", network="n1")
    seen = [leaves_by(host, "a")["0.0.0.0/0"]]
    for name, priority in wishes[1:]:
        host.connect(name, "a", gw_priority=priority)
        seen.append(leaves_by(host, "a")["0.0.0.0/0"])
    for name in ("n2", "n4", "n3", "n1"):
        host.disconnect(name, "a")
        seen.append(leaves_by(host, "a")["0.0.0.0/0"])
    assert seen == ["eth0", "eth1", "eth1", "eth1", "eth1", "eth3", "eth2", "eth0", "eth4"]


def test_without_a_network_that_leads_outside_there_is_no_way_out(host: Host) -> None:
    """An internal network has no default route, until another network comes."""
    host.create_network("in", internal=True)
    host.run("a", network="in")
    assert leaves_by(host, "a") == {}
    host.connect("lab", "a")
    assert leaves_by(host, "a") == {"0.0.0.0/0": "eth1"}
    host.disconnect("lab", "a")
    assert leaves_by(host, "a") == {}


def test_families_leave_by_different_networks(host: Host) -> None:
    """IPv4 by the one with the priority, IPv6 by the only one that has it."""
    host.create_network("six", subnet=["10.8.0.0/24", "fd08::/64"], ipv6=True)
    host.run("a", network=["name=lab,gw-priority=5", "six"])
    assert leaves_by(host, "a") == {"0.0.0.0/0": "eth0", "::/0": "eth1"}


# -- connect and disconnect ---------------------------------------------------------------


def test_a_stopped_container_may_be_connected_to_its_own_network(host: Host) -> None:
    """Nothing changes, and nothing is refused: Docker's rule."""
    host.run("a", network="lab")
    stopped = host.stop("a")
    assert host.connect("lab", "a", aliases=("db",)) == stopped


@pytest.mark.parametrize(
    ("network", "box", "error", "message"),
    [
        ("lab", "a", Conflict, "endpoint with name a already exists in network lab"),
        ("nosuch", "a", NotFound, "network nosuch not found"),
        ("lab", "nosuch", NotFound, "No such container: nosuch"),
        ("host", "a", Invalid, "cannot connect container to host network"),
        ("none", "a", Invalid, "private .none. mode"),
        ("lab", "alone", Invalid, "private .none. mode"),
        ("lab", "shared", Invalid, "sharing network namespace"),
        ("lab", "hosts", Invalid, "sharing network namespace"),
    ],
)
def test_what_cannot_be_connected(
    host: Host, network: str, box: str, error: type[Exception], message: str
) -> None:
    """With Docker's words, and nothing has changed."""
    host.run("a", network="lab")
    host.run("alone", network="none")
    host.run("shared", network="container:a")
    host.run("hosts", network="host")
    before = host.containers()
    with pytest.raises(error, match=message):
        host.connect(network, box)
    assert host.containers() == before


def test_a_stopped_container_is_connected_when_it_starts(host: Host) -> None:
    """Until then it is only written down."""
    host.create("a", network="lab")
    host.connect("bridge", "a")
    assert ips(host, "a") == []
    host.start("a")
    assert names(host, "a") == {"lab": "eth0", "bridge": "eth1"}


def test_a_container_without_networks_runs_on(host: Host) -> None:
    """The last network may go; lo stays."""
    host.run("a", network="lab")
    host.disconnect("lab", "a")
    assert host.container("a").status is Status.RUNNING
    with pytest.raises(Conflict, match="is not connected to network lab"):
        host.disconnect("lab", "a")


def test_connecting_does_not_carry_the_container_s_mac(host: Host) -> None:
    """It is the first network's."""
    host.run("a", network="lab", mac="02:00:00:00:00:07")
    host.connect("bridge", "a")
    first, second = (end.mac for end in host.endpoints(host.container("a")))
    assert first == "02:00:00:00:00:07" != second


class Refusing(MemoryKernel):
    """A kernel that refuses routes when it is told to."""

    refuses = False

    def _wrong(self, step: Step) -> str:
        return (
            "no such luck"
            if self.refuses and isinstance(step.after, Route)
            else super()._wrong(step)
        )


def test_a_connect_that_the_kernel_refuses_changes_nothing(tmp_path: Path) -> None:
    """Neither the record nor the kernel, and the address is free again."""
    kernel = Refusing()
    with Host(tmp_path, settings={}, kernel=kernel) as host:
        host.create_network("lab", subnet="10.9.0.0/24")
        host.create_network("fast", subnet="10.8.0.0/24")
        host.run("a", network="lab")
        before, things = host.containers(), dict(kernel.things)
        kernel.refuses = True
        with pytest.raises(StepFailed, match="no such luck") as caught:
            host.connect("fast", "a", gw_priority=1)
        assert isinstance(caught.value.cause, KernelRefused)
        assert (host.containers(), kernel.things) == (before, things)
        kernel.refuses = False
        host.connect("fast", "a", gw_priority=1)
        assert ips(host, "a") == ["10.9.0.2", "10.8.0.2"]


# -- life ---------------------------------------------------------------


def test_names_are_taken_once(host: Host) -> None:
    """Docker's words, with the other's id."""
    box = host.run("a", network="lab")
    with pytest.raises(
        Conflict, match=f'container name "/a" is already in use by container "{box.id}"'
    ):
        host.run("a", network="lab")


def test_a_container_is_found_by_name_id_and_prefix(host: Host) -> None:
    """Docker's leading slash is allowed."""
    box = host.run("web-1", network="lab")
    assert all(
        host.container(reference) == box for reference in ("web-1", "/web-1", box.id, box.id[:12])
    )
    with pytest.raises(NotFound, match="No such container: web"):
        host.container("web")


def test_a_running_container_is_not_removed(host: Host) -> None:
    """Unless by force."""
    host.run("a", network="lab")
    with pytest.raises(Conflict, match="stop the container before removing or force remove"):
        host.remove("a")
    host.remove("a", force=True)
    assert host.containers() == []


def test_a_stop_gives_back_and_keeps(host: Host) -> None:
    """The address is given back, the wish is kept.

    Stopping twice is no error, nor is starting twice.
    """
    host.run("a", network="lab")
    host.stop("a")
    assert host.stop("a").status is Status.EXITED
    assert ips(host, "a") == []
    assert [wish.network for wish in host.container("a").attachments] == [host.network("lab").id]
    assert host.start("a") == host.start("a")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"network": ["host", "lab"]}, "cannot be joined together with others"),
        ({"network": ["lab", "lab"]}, "is specified multiple times"),
        ({"network": "name=bridge,ip=172.17.0.9"}, "user-defined networks only"),
        ({"network": "name=bridge,alias=x"}, "only supported for user-defined"),
        ({"network": "container:"}, "invalid container format"),
        ({"network": "container:lead", "hostname": "x"}, "conflicting options: hostname"),
    ],
)
def test_what_does_not_go_together(host: Host, asked: dict[str, Any], message: str) -> None:
    """Docker's conflicts."""
    host.run("lead", network="lab")
    with pytest.raises(Invalid, match=message):
        host.run("a", **asked)


@pytest.mark.parametrize("network", ["host", "container:lead", "none"])
def test_a_mac_address_without_a_link_of_one_s_own(host: Host, network: str) -> None:
    """It is kept and shown, as in Docker, and no link has it."""
    host.run("lead", network="lab")
    box = host.run("a", network=network, mac="02:00:00:00:00:01")
    assert (box.mac, host.endpoints(box)) == ("02:00:00:00:00:01", [])


def test_one_that_shares_needs_the_other_running(host: Host) -> None:
    """There is no namespace to join otherwise."""
    host.create("lead", network="lab")
    with pytest.raises(
        Conflict, match="cannot join network namespace of a non running container: container lead"
    ):
        host.run("a", network="container:lead")


@pytest.mark.parametrize("name", ["host", "none", "lab"])
def test_a_network_is_the_same_by_its_id(host: Host, name: str) -> None:
    """One cannot be on it twice, whatever it is called; nor together with host or none."""
    with pytest.raises(Invalid, match=r"multiple times|cannot be joined"):
        host.run("a", network=[host.network(name).id, "lab"])


def test_a_container_that_leaves_none_can_be_on_others(host: Host) -> None:
    """As in Docker: before that it cannot, and then it is like any other."""
    host.create_network("a")
    host.run("c1", network="none")
    with pytest.raises(Invalid, match=r"one of the networks in private \(none\) mode"):
        host.connect("a", "c1")

    host.disconnect("none", "c1")
    host.connect("a", "c1")

    assert [host.network(end.network).name for end in host.endpoints(host.container("c1"))] == ["a"]


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_time_that_a_command_has_to_end(tmp_path: Path, verb: str) -> None:
    """It is of this stop alone: the step that ends the command carries it."""
    taken: list[Step] = []
    with Host(tmp_path, kernel=MemoryKernel(FRESH), on_steps=taken.extend) as host:
        host.run("web", command=["sleep", "1000"])
        getattr(host, verb)("web", timeout=0)
    graces = [step.before.grace for step in taken if isinstance(step.before, Process)]
    assert graces == [0]
    assert all(step.after.grace == GRACE for step in taken if isinstance(step.after, Process))


# -- without a gateway ---------------------------------------------------------------

NO_IPV6 = {"net.ipv6.conf.all.disable_ipv6": "1"}


def networks_of(host: Host, name: str) -> list[str]:
    """The networks that a container has endpoints on."""
    return [host.network(end.network).name for end in host.endpoints(host.container(name))]


def test_one_that_no_network_gives_a_gateway(host: Host) -> None:
    """It leaves by a network of its own kind, as by Docker's docker_gwbridge."""
    host.create_network("six", subnet="fd00:2::/64", ipv4=False, ipv6=True)
    box = host.run("web", network="six", sysctls=NO_IPV6, publish="8080:80")
    gateway = host.network("plumb_gwbridge")
    (end,) = [end for end in host.endpoints(box) if end.network == gateway.id]
    assert (end.ifname, gateway.bridge.icc, gateway.link) == ("eth1", False, "plumb_gwbridge")
    assert [port.host_port for port in end.ports if port.host_ip.version == 4] == [8080]
    host.run("other", network="six", sysctls=NO_IPV6)
    assert [net.name for net in host.networks()].count("plumb_gwbridge") == 1


def test_one_that_needs_a_gateway_where_its_network_is_internal(host: Host) -> None:
    """As a user may have made it, for it would be taken as the gateway and lead nowhere."""
    host.create_network("plumb_gwbridge", internal=True)
    host.create_network("six", subnet="fd00:2::/64", ipv4=False, ipv6=True)
    with pytest.raises(Conflict, match="plumb_gwbridge of this host does not lead out"):
        host.run("web", network="six", sysctls=NO_IPV6)


def test_a_gateway_that_comes_and_goes(host: Host) -> None:
    """The endpoint is there as long as no other network leads out; the network stays."""
    host.create_network("six", subnet="fd00:2::/64", ipv4=False, ipv6=True)
    host.run("web", network="six", sysctls=NO_IPV6)
    assert networks_of(host, "web") == ["six", "plumb_gwbridge"]
    host.connect("lab", "web")
    assert networks_of(host, "web") == ["six", "lab"]
    host.disconnect("lab", "web")
    assert networks_of(host, "web") == ["six", "plumb_gwbridge"]
    host.disconnect("six", "web")
    assert networks_of(host, "web") == []
    assert host.remove_network("plumb_gwbridge").name == "plumb_gwbridge"


@pytest.mark.parametrize(
    "options", [{"internal": True}, {"driver": "macvlan"}, {"subnet": "fd00:2::/64"}]
)
def test_one_that_needs_no_gateway(host: Host, options: dict[str, Any]) -> None:
    """On an internal network, on a LAN, or with IPv6: as its network says."""
    asked = {"subnet": "10.7.0.0/24", **options}
    six = ":" in asked["subnet"]
    host.create_network("n", ipv4=not six, ipv6=six, **asked)
    host.run("web", network="n")
    assert networks_of(host, "web") == ["n"]


def test_a_gateway_network_has_no_names(host: Host) -> None:
    """Neither in DNS nor in the hosts file."""
    host.create_network("six", subnet="fd00:2::/64", ipv4=False, ipv6=True)
    box = host.run("web", network="six", sysctls=NO_IPV6)
    things = host.store.things()
    named = [thing.network for thing in things if isinstance(thing, Names)]
    assert named == [host.network("six").id]
    (hosts,) = [
        thing.text
        for thing in things
        if isinstance(thing, File) and thing.path == f"{host.layout.container(box.id)}/hosts"
    ]
    assert box.id[:12] not in hosts
