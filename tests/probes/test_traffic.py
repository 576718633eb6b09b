"""Real traffic: the promised target answers with the source address, and silence needs controls."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from plumb.address import IPAddress
from plumb.kernel.netns.namespaces import entered
from plumb.probes.promises.promise import OWN, Promise, Protocol, Service
from plumb.probes.promises.reachability import HOST
from plumb.probes.promises.verdicts import Observation, Verdict
from plumb.probes.traffic.observe import in_parts, try_out
from tests import cases, labs
from tests.labs import sh
from tests.probes.conftest import Site

A, B, BRIDGE = (ip_address(f"172.20.0.{number}") for number in (2, 3, 1))
SIX = ip_address("fd00:20::3")


@pytest.fixture(scope="module")
def pair() -> Iterator[Site]:
    """c1 and c2 on n1, by IPv4 and IPv6."""
    with labs.lab(lan=True) as lab, lab.host() as host:
        with host.operation() as verbs:
            cases.network(subnet=cases.DUAL, ipv6=True)(verbs)
        yield Site(lab, host)
        host.reset()


def places(site: Site) -> dict[str, str]:
    """Where they are."""
    return {HOST: "", "c1": site.ns("c1"), "c2": site.ns("c2")}


def all_of(source: str, target: str, address: IPAddress, reach: bool = True) -> list[Promise]:
    """A promise by each protocol."""
    return [
        Promise(source, target, address, protocol, reach, "it is tried") for protocol in Protocol
    ]


@contextmanager
def changed(site: Site, name: str, command: str, back: str) -> Iterator[None]:
    """Something done inside a container, for the length of a with block."""
    site.inside(name, command)
    try:
        yield
    finally:
        site.inside(name, back)


@pytest.mark.parametrize("address", [B, SIX])
def test_an_answer_says_whom_it_saw(pair: Site, address: IPAddress) -> None:
    """By ping, TCP and UDP, of IPv4 and IPv6: a container sees its neighbour itself."""
    own = A if address.version == 4 else ip_address("fd00:20::2")
    outcomes = try_out(
        [replace(each, source_addresses=(own,)) for each in all_of("c1", "c2", address)],
        places(pair),
        0.5,
    )

    assert [(each.kept, each.source_address) for each in outcomes] == [(True, str(own))] * 3


def test_another_host_with_the_same_address_does_not_pass(pair: Site) -> None:
    """c1 has c2's address too: it hears itself, and that is not c2."""
    with changed(pair, "c1", f"ip addr add {B}/32 dev lo", f"ip addr del {B}/32 dev lo"):
        outcomes = try_out(all_of("c1", "c2", B), places(pair), 0.5)

    assert [each.kept for each in outcomes] == [False] * 3
    assert outcomes[0].observed == "c1 answered instead"


def test_silence_of_a_client_without_answers_is_not_shown(pair: Site) -> None:
    """What c1 is not to reach, it does not reach; but c1 reaches nobody at all."""
    nobody = Promise("c1", HOST, ip_address("192.0.2.10"), Protocol.UDP, False, "it is tried")
    beside = [*all_of("c1", "c2", B), *all_of("c2", HOST, ip_address("192.0.2.10"))]
    with changed(
        pair,
        "c1",
        "ip link set eth0 down",
        f"ip link set eth0 up; ip route replace default via {BRIDGE}",
    ):
        outcomes = try_out([nobody, *beside], places(pair), 0.5)

    assert outcomes[0].said == "no route"  # its own kernel says so: that is a fact
    assert [each.verdict for each in outcomes[1:4]] == [Verdict.BROKEN] * 3
    with changed(pair, "c1", "iptables -A INPUT -i eth0 -j DROP", "iptables -F INPUT"):
        outcomes = try_out([nobody, *beside], places(pair), 0.5)

    assert outcomes[0].verdict is Verdict.NOT_SHOWN
    assert outcomes[0].doubt == "c1 hears nobody by IPv4"


def test_silence_is_shown_beside_an_answer(pair: Site) -> None:
    """With a drop rule for UDP alone, ping and TCP show that both ends work."""
    sh("iptables -I INPUT -p udp -s 172.20.0.2 -j DROP")
    promised = [
        Promise("c1", HOST, BRIDGE, protocol, protocol is not Protocol.UDP, "a rule drops it")
        for protocol in Protocol
    ]
    outcomes = try_out([*promised, *all_of("c2", HOST, BRIDGE)], places(pair), 0.5)
    sh("iptables -D INPUT 1")

    assert [each.verdict for each in outcomes] == [Verdict.KEPT] * 6


def test_what_the_firewall_says_is_told(pair: Site) -> None:
    """A packet that is rejected is told so, and by whom; one that is dropped is not."""
    sh(
        "iptables -I INPUT -s 172.20.0.2 -p tcp -j REJECT; "
        "iptables -I INPUT -s 172.20.0.2 -p udp -j REJECT; "
        "iptables -I INPUT -s 172.20.0.2 -p icmp -j REJECT --reject-with icmp-host-prohibited"
    )
    outcomes = try_out(all_of("c1", HOST, BRIDGE, reach=False), places(pair), 0.5)
    sh("for _ in 1 2 3; do iptables -D INPUT 1; done")

    assert [each.said for each in outcomes] == [
        f"host unreachable, says {BRIDGE}",
        *[f"refused, says {BRIDGE}"] * 2,
    ]


def test_a_server_of_its_own_may_have_the_port(pair: Site) -> None:
    """Behind a published port the container's own server answers.

    A connection that stands is an answer, a datagram proves nothing.
    """
    service = Service(80, B, 80)
    promised = [
        Promise("c1", "c2", B, protocol, True, "it is tried", service, OWN)
        for protocol in (Protocol.TCP, Protocol.UDP)
    ]
    with (
        entered(pair.ns("c2")),
        socket.socket() as stream,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        stream.bind((str(B), 80))
        stream.listen()
        datagrams.bind((str(B), 80))
        outcomes = try_out(promised, places(pair), 0.4)

    assert [each.verdict for each in outcomes] == [Verdict.KEPT, Verdict.NOT_SHOWN]


def test_where_nobody_can_listen_nothing_is_reached(pair: Site) -> None:
    """An address that the container has lost is no error of the probe's."""
    outcome = try_out(
        [Promise("c1", "c2", ip_address("172.20.0.77"), Protocol.TCP, True, "it is tried")],
        places(pair),
        0.3,
    )[0]

    assert (outcome.verdict, outcome.said) == (Verdict.BROKEN, "cannot listen there: no route")


def test_many_members_send_in_parts() -> None:
    """The kernel's table of neighbours holds a thousand.

    So no part is between more than two groups of sixteen.
    """
    names = [f"c{number}" for number in range(50)]
    every = [
        Observation(Promise(a, b, A, Protocol.ICMP, True, ""))
        for a in names
        for b in names
        if a != b
    ]
    parts = list(in_parts(every))

    assert sum(map(len, parts)) == len(every)
    assert (
        max(
            len({name for each in part for name in (each.promise.source, each.promise.target)})
            for part in parts
        )
        == 32
    )
    assert (
        len(
            list(
                in_parts(
                    [
                        each
                        for each in every
                        if each.promise.source in names[:9] and each.promise.target in names[:32]
                    ]
                )
            )
        )
        == 1
    )
