"""What networks promise, worked out from the intent alone.

Modes, several networks, the LAN, and whom one sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_interface

import pytest

from plumb import Host
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.model.cnm import Attachment, Status
from plumb.model.parse import BRIDGE, PREFIX
from plumb.probes.promises.published_ports import PublishingHost, published
from plumb.probes.promises.reachability import HOST, WORLD, Member, Promise, Protocol, promises
from tests.labs import Lab

INTERNET, OWN = ip_address("198.51.100.1"), ip_interface("192.0.2.10/24")


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    """A host whose kernel is in memory: nothing is built."""
    with Host(lab.root, settings={}, kernel=MemoryKernel()) as made:
        yield made


@pytest.fixture
def lan_host(lab: Lab) -> Iterator[Host]:
    """The same, where every link is there that a network is to be on."""
    system = System(kind_of=lambda name: "" if name == "eth0" else None)
    with Host(lab.root, settings={}, kernel=MemoryKernel(), system=system) as made:
        yield made


def members(host: Host) -> list[Member]:
    """Who runs there."""
    return [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)])
        for box in host.containers()
        if box.status is Status.RUNNING
    ]


def of(
    host: Host, source: str, target: str, protocol: Protocol = Protocol.TCP, **options: object
) -> list[Promise]:
    """What is promised to one about another."""
    made = promises(members(host), [INTERNET], own=[OWN], **options)  # type: ignore[arg-type]  # the keywords are its own
    return [
        each
        for each in made
        if (each.source, each.target, each.protocol) == (source, target, protocol)
    ]


def said(made: list[Promise]) -> list[tuple[str, bool]]:
    """Where, and whether."""
    return [(str(each.address), each.reach) for each in made]


def test_two_networks_meet_by_nobody(host: Host) -> None:
    """A container of several networks is reached by its address on a shared network alone."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.create_network("n2", subnet="172.21.0.0/24")
    host.run("a", network="n1")
    host.run("b", network=["n1", "n2"])

    assert said(of(host, "a", "b")) == [("172.20.0.3", True), ("172.21.0.2", False)]


def test_one_sees_whom_nat_shows(host: Host) -> None:
    """Within a network the source's own, in the world one of the host's, or the chosen one."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.create_network("n2", subnet="172.21.0.0/24", options={PREFIX + "host_ipv4": "192.0.2.200"})
    host.run("a", network="n1")
    host.run("b", network="n1")
    host.run("c", network="n2")

    assert of(host, "a", "b")[0].source_addresses == (ip_address("172.20.0.2"),)
    assert of(host, HOST, "a")[0].source_addresses == (ip_address("172.20.0.1"),)
    assert of(host, "a", WORLD)[0].source_addresses == (OWN.ip,)
    assert of(host, "c", WORLD)[0].source_addresses == (ip_address("192.0.2.200"),)


def test_who_comes_into_an_unprotected_network_is_seen_as_the_bridge(host: Host) -> None:
    """The source's own network masquerades with the next link's address; a routed one does not."""
    host.create_network(
        "open", subnet="172.20.0.0/24", options={BRIDGE + "gateway_mode_ipv4": "nat-unprotected"}
    )
    host.create_network("n2", subnet="172.21.0.0/24")
    host.create_network(
        "routed", subnet="172.22.0.0/24", options={BRIDGE + "gateway_mode_ipv4": "routed"}
    )
    host.run("a", network="open")
    host.run("b", network="n2")
    host.run("c", network="routed")

    assert of(host, "b", "a")[0].source_addresses == (ip_address("172.20.0.1"),)
    assert of(host, "c", "a")[0].source_addresses == (ip_address("172.22.0.2"),)


def test_a_shared_stack_is_promised_what_its_owner_is(host: Host) -> None:
    """container:a reaches and is reached as a; with host mode, as the host."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.run("a", network="n1")
    host.run("b", network="n1")
    host.run("beside", network="container:a")
    host.run("up", network="host")

    assert said(of(host, "beside", "b")) == said(of(host, "a", "b")) == [("172.20.0.3", True)]
    assert said(of(host, "b", "beside")) == said(of(host, "a", "beside")) == [("172.20.0.2", True)]
    assert said(of(host, "up", "a")) == said(of(host, HOST, "a"))
    assert ("172.20.0.1", True) in said(of(host, "a", "up"))


def test_on_no_network_there_is_no_way(host: Host) -> None:
    """With --network none, nobody is reached."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.run("a", network="n1")
    host.run("alone", network="none")

    assert [each.reach for target in ("a", HOST, WORLD) for each in of(host, "alone", target)] == [
        False
    ] * 3
    assert of(host, "alone", "a")[0].why == "it is on no network"
    assert of(host, "a", "alone") == []


def test_without_drop_rules_only_neighbours_are_promised_anything(host: Host) -> None:
    """On a host that writes no firewall rules, who else gets in is the administrator's to say."""
    host.create_network("n1", subnet="172.20.0.0/24")
    host.create_network("n2", subnet="172.21.0.0/24")
    host.run("a", network="n1")
    host.run("b", network="n1")
    host.run("c", network="n2")

    assert said(of(host, "a", "b", filtered=frozenset())) == [("172.20.0.3", True)]
    assert (
        of(host, "a", "c", filtered=frozenset()) == of(host, "a", WORLD, filtered=frozenset()) == []
    )


def test_links_are_promised_where_icc_is_off(lab: Lab) -> None:
    """On the default network a link opens the exposed ports of whom it names, and nothing else."""
    with Host(lab.root, settings={"icc": False}, kernel=MemoryKernel()) as host:
        host.run("web", exposed=("80/tcp",))
        host.run("client", links=(("web", "web"),))
        made = of(host, "client", "web")

    assert [(each.service.own_port if each.service else 0, each.reach) for each in made] == [
        (0, False),
        (80, True),
    ]


def lan(host: Host, **options: str) -> None:
    """a and b on a macvlan network of the host's own LAN, c on a bridge."""
    host.create_network(
        "lan",
        driver="macvlan",
        subnet="192.0.2.0/24",
        gateway="192.0.2.1",
        options={"parent": "eth0", **options},
    )
    host.create_network("n1", subnet="172.20.0.0/24")
    host.run("a", network=Attachment("lan", ip=IPv4Address("192.0.2.51")))
    host.run("b", network=Attachment("lan", ip=IPv4Address("192.0.2.52")))
    host.run("c", network="n1")


def test_macvlan_and_the_host_are_strangers(lan_host: Host) -> None:
    """They reach each other and the world as themselves.

    The host does not reach them nor they it, and so neither who comes by the host.
    """
    lan(lan_host)

    assert said(of(lan_host, "a", "b")) == [("192.0.2.52", True)]
    assert said(of(lan_host, HOST, "a")) == [("192.0.2.51", False)]
    assert said(of(lan_host, "a", HOST)) == [("192.0.2.10", False)]
    assert said(of(lan_host, "c", "a")) == [("192.0.2.51", False)]
    assert of(lan_host, "a", WORLD)[0].source_addresses == (ip_address("192.0.2.51"),)


def test_private_macvlan_parts_its_containers(lan_host: Host) -> None:
    """They reach the world and not each other; of vepa the switch outside decides."""
    lan(lan_host, macvlan_mode="private")

    assert said(of(lan_host, "a", "b")) == [("192.0.2.52", False)]
    assert of(lan_host, "a", WORLD)[0].reach


def test_without_a_parent_there_is_no_way_in_or_out(host: Host) -> None:
    """macvlan on a dummy: its own containers alone."""
    host.create_network("n1", driver="macvlan", subnet="172.20.0.0/24")
    host.run("a", network="n1")
    host.run("b", network="n1")

    assert said(of(host, "a", "b")) == [("172.20.0.2", True)]
    assert said(of(host, HOST, "a")) == [("172.20.0.1", False)]
    assert not of(host, "a", WORLD)[0].reach


def test_a_published_port_is_promised_to_other_networks_too(host: Host) -> None:
    """By the host's address, as their own network's NAT shows them.

    To nobody who has no way out.
    """
    host.create_network("n1", subnet="172.20.0.0/24")
    host.create_network("n2", subnet="172.21.0.0/24")
    host.create_network("shut", subnet="172.22.0.0/24", internal=True)
    host.run("web", network="n1", publish="8080:80")
    host.run("other", network="n2")
    host.run("inner", network="shut")
    made = {
        each.source: each
        for each in published(members(host), PublishingHost([OWN.ip]))
        if each.address == OWN.ip
    }

    assert made["other"].reach
    assert made["other"].source_addresses == (ip_address("172.20.0.1"),)
    assert made["web"].source_addresses == (ip_address("172.20.0.1"),)
    assert not made["inner"].reach
