"""The embedded DNS server in the intent.

Who has one, on which ports, what it knows, whom it asks.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TypeVar

import pytest

from plumb import Host
from plumb.kernel.system import System
from plumb.model.net.attachment import attachment
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.dns import Names, Resolver, Upstream
from plumb.things.host_ports import Agent
from plumb.things.iptables import Rule
from plumb.things.nftables import NftRule
from tests.memory_host import MemoryHosts

T = TypeVar("T", bound=Thing)


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network("n1", subnet="10.9.0.0/24")
    host.create_network("n2", subnet=["10.8.0.0/24", "fd00:8::/64"], ipv6=True)
    return host


def things(host: Host, kind: type[T]) -> list[T]:
    """All things of a kind that are there."""
    return [thing for thing in host.store.things() if isinstance(thing, kind)]


def searched(host: Host) -> list[str]:
    """The networks that the only server searches, by name."""
    (server,) = things(host, Resolver)
    return [host.network(ident).name for ident in server.networks]


def test_a_container_on_a_network_of_users_has_a_server(host: Host) -> None:
    """From start to stop, with an agent that serves it and rules that lead there."""
    host.create("c1", network="n1")
    assert things(host, Resolver) == []
    host.start("c1")
    (server,) = things(host, Resolver)
    assert searched(host) == ["n1"]
    assert sum("127.0.0.11" in rule.spec for rule in things(host, Rule)) == 6
    assert [agent.folder for agent in things(host, Agent)] == [server.agent]
    host.stop("c1")
    assert not any(isinstance(thing, Resolver | Agent | Names) for thing in host.store.things())
    assert host.container("c1").dns_udp == 0


def test_the_default_network_has_no_names(host: Host) -> None:
    """No server, no names; nor on host and none."""
    host.run("c1")
    host.run("c2", network="none")
    host.run("c3", network="host")
    assert not any(isinstance(thing, Resolver | Agent | Names) for thing in host.store.things())


def test_the_server_comes_with_the_first_network_of_users(host: Host) -> None:
    """A container of the default network gets one when it is connected.

    The default network is not searched.
    """
    host.run("c1")
    host.connect("n1", "c1")
    assert searched(host) == ["n1"]
    assert [names.title for names in things(host, Names)] == ["n1"]


def test_the_server_stays_until_the_container_stops(host: Host) -> None:
    """Also where it leaves its last network of users, on the ports that it had."""
    host.run("c1")
    host.connect("n1", "c1")
    (before,) = things(host, Resolver)
    host.disconnect("n1", "c1")
    (server,) = things(host, Resolver)
    assert searched(host) == []
    assert (server.udp, server.tcp) == (before.udp, before.tcp)
    assert things(host, Names) == []


def test_networks_are_searched_in_the_order_of_gateways(host: Host) -> None:
    """Dual-stack ones before others, and a higher gw-priority before all.

    Connect and disconnect change it in place.
    """
    host.run("c1", network="n1")
    host.connect("n2", "c1")
    assert searched(host) == ["n2", "n1"]
    host.disconnect("n1", "c1")
    host.connect("n1", "c1", gw_priority=1)
    assert searched(host) == ["n1", "n2"]


def test_a_containers_names(host: Host) -> None:
    """Its name, its aliases on that network alone, its short id, its host name if it was given.

    Its addresses there.
    """
    box = host.run("c1", network=attachment("name=n1,alias=web"), hostname="www")
    host.connect("n2", "c1", aliases=("front",))
    one, two = things(host, Names)
    assert (one.title, one.names, one.ips) == (
        "n1",
        ("c1", "web", box.id[:12], "www"),
        (ip_address("10.9.0.2"),),
    )
    assert (two.title, two.names) == ("n2", ("c1", "front", box.id[:12], "www"))
    assert two.ips == (ip_address("10.8.0.2"), ip_address("fd00:8::2"))


def test_a_link_is_known_to_who_has_it(host: Host) -> None:
    """On a network of users `--link NAME:ALIAS` needs nobody of that name."""
    host.run("c1", network=attachment("n1"))
    host.connect("n2", "c1", links=(("db", "database"),))
    (server,) = things(host, Resolver)
    assert server.links == ((host.network("n2").id, "database", "db"),)


def test_servers_of_the_host_are_asked_from_the_host(memory_host: MemoryHosts) -> None:
    """They may be on its loopback; those that --dns names are asked from the sandbox."""
    servers = "nameserver 127.0.0.1\nnameserver 192.0.2.1\n"
    host = memory_host(System(resolv_source=lambda: servers))
    host.create_network("n1", subnet="10.9.0.0/24")
    host.run("c1", network="n1")
    (server,) = things(host, Resolver)
    assert server.upstreams == (
        Upstream(ip_address("127.0.0.1"), inside=False),
        Upstream(ip_address("192.0.2.1"), inside=False),
    )
    host.remove("c1", force=True)
    host.run("c1", network="n1", dns=(ip_address("9.9.9.9"),))
    (server,) = things(host, Resolver)
    assert server.upstreams == (Upstream(ip_address("9.9.9.9"), inside=True),)


def test_an_internal_network_has_no_way_out(host: Host) -> None:
    """The host's servers are not asked in its stead; on one more network, they are."""
    host.create_network("n3", subnet="10.7.0.0/24", internal=True)
    host.run("c1", network="n3")
    assert not things(host, Resolver)[0].outside
    host.connect("n1", "c1")
    assert things(host, Resolver)[0].outside
    host.disconnect("n1", "c1")
    assert not things(host, Resolver)[0].outside


def test_ndots_keeps_short_names_here(host: Host) -> None:
    """With --dns-option ndots:2 a name without a dot is for the search domains."""
    host.run("c1", network="n1", dns_options=("ndots:2",))
    assert things(host, Resolver)[0].ndots


def test_the_rules_do_not_ask_for_the_hosts_firewall(memory_host: MemoryHosts) -> None:
    """With `iptables: false` plumb leaves the host's firewall alone; the sandbox is plumb's."""
    with memory_host(iptables=False, ip6tables=False) as host:
        host.create_network("n1")
        host.run("c1", network="n1")
        assert {rule.ns for rule in things(host, Rule)} == {things(host, Resolver)[0].ns}


def test_nftables_in_the_sandbox(memory_host: MemoryHosts) -> None:
    """With the nftables back end the sandbox has a table of its own, and no iptables rule."""
    with memory_host(firewall_backend="nftables", ip_forward=False) as host:
        host.create_network("n1")
        host.run("c1", network="n1")
        assert things(host, Rule) == []
        assert [rule.spec for rule in things(host, NftRule) if rule.table == "plumb-dns"] == [
            "ip daddr 127.0.0.11 udp dport 53 counter dnat to 127.0.0.11:61053",
            "ip saddr 127.0.0.11 udp sport 61053 counter snat to :53",
            "ip daddr 127.0.0.11 tcp dport 53 counter dnat to 127.0.0.11:61054",
            "ip saddr 127.0.0.11 tcp sport 61054 counter snat to :53",
        ]


def test_who_shares_a_stack_shares_the_server(host: Host) -> None:
    """container:NAME asks the server of its target, under its target's names."""
    host.run("c1", network="n1")
    host.run("c2", network="container:c1")
    assert len(things(host, Resolver)) == len(things(host, Names)) == 1


def test_repair_leaves_a_server_that_answers_where_it_is(host: Host) -> None:
    """And brings one back that is gone, on its own ports if they are free."""
    host.run("c1", network="n1")
    before = things(host, Resolver)
    host.kernel.take([Step(before[0], None)])
    host.repair()
    assert things(host, Resolver) == before
    assert host.check() == []
