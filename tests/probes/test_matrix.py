"""`plumb matrix`: on the lab, what is observed is what is expected.

With anything cut, it is not, and it says what and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from plumb.model.cnm import Attachment
from plumb.plan import Step
from plumb.probes.matrix import Matrix
from plumb.probes.promises.promise import Promise, Protocol, Service
from plumb.probes.promises.reachability import HOST
from plumb.probes.promises.verdicts import Observation
from plumb.things import Thing
from plumb.things.dns import Names
from plumb.things.iptables import Rule
from plumb.things.layer3 import Address, Route
from plumb.things.links import Up, Veth
from plumb.views import matrix as view
from tests import labs
from tests.labs import Lab, sh, within
from tests.probes.conftest import Site, Typed, objects

AS_PROMISED = """\
who reaches whom   database   api   frontend   (host)   (world)
database           -          ◐     ·          ◐        ·
api                ●          -     ◐          ◐        ·
frontend           ·          ◐     -          ◐        ◐
(host)             ●          ●     ●          -        ●

published ports   frontend:80/tcp
database          ·
api               ·
frontend          ◐
(host)            ●
(world)           ●

who knows whose name   database   api   frontend
database               ●          ●     ·
api                    ●          ●     ●
frontend               ·          ●     ●

● reached   · not reached   ◐ by some addresses or protocols
"""


def test_what_is_observed_is_what_is_expected(tiers: Site, typed: Typed) -> None:
    """On the three-tier lab, with an outside namespace as the world: a table, and exit status 0."""
    status, text = typed(tiers.lab, "matrix --from $LAN -W 0.4")

    assert text.startswith(AS_PROMISED)
    assert text.endswith("promises tried with real traffic: all as promised\n")
    assert status == 0


CUTS: dict[str, Callable[[Thing], bool]] = {
    "a veth pair": lambda thing: isinstance(thing, Veth),
    "an address": lambda thing: isinstance(thing, Address) and thing.ns != "",
    "a default route": lambda thing: isinstance(thing, Route) and thing.dst.prefixlen == 0,
    "a link that is up": lambda thing: isinstance(thing, Up) and thing.dev.startswith("br-"),
    "masquerading": lambda thing: (
        isinstance(thing, Rule) and "MASQUERADE" in thing.spec and "-s 172.18.0.0" in thing.spec
    ),
    "a drop rule": lambda thing: (
        isinstance(thing, Rule)
        and thing.chain == "PLUMB-INTERNAL"
        and thing.spec.startswith("! -s 172.20.")
    ),
    "a published port's NAT": lambda thing: isinstance(thing, Rule) and "DNAT" in thing.spec,
    "names": lambda thing: isinstance(thing, Names),
}


@pytest.mark.parametrize("cut", CUTS)
def test_with_anything_cut_it_is_not(tiers: Site, typed: Typed, cut: str) -> None:
    """One thing of each kind; all of them have their turn in test_cut.py."""
    thing = next(thing for thing in tiers.host.store.things() if CUTS[cut](thing))
    tiers.host.kernel.take([Step(thing, None)])
    try:
        status, text = typed(tiers.lab, "matrix --from $LAN -W 0.15")
    finally:
        tiers.host.repair()

    assert status == 1
    assert " not as promised" in text


@contextmanager
def a_twin(tiers: Site) -> Iterator[None]:
    """api has database's address, as if by mistake."""
    tiers.inside("api", "ip addr add 172.20.0.2/32 dev eth1")
    try:
        yield
    finally:
        tiers.inside("api", "ip addr del 172.20.0.2/32 dev eth1; ip neigh flush all")
        tiers.inside("database", "ip neigh flush all")
        sh("ip neigh flush all")


def test_two_with_one_address_are_found(tiers: Site, typed: Typed) -> None:
    """By ARP, with both MACs, and by who answers.

    Each line has its promise's reason, and what was observed.
    """
    with a_twin(tiers):
        status, text = typed(tiers.lab, "matrix -W 0.2")
        found = [
            each
            for each in objects(typed(tiers.lab, "matrix -W 0.2 --json")[1])
            if each["kind"] == "owner"
        ]
    lines = text.splitlines()

    assert status == 1
    assert (
        "api must reach database at 172.20.0.2 (both are on database-network):"
        " api answered instead (icmp)" in lines
    )
    assert any(
        line.startswith("172.20.0.2 of database on database-network must be") and " and " in line
        for line in lines
    )
    hint = re.search(r"^plumb trace (\S+) 172.20.0.2    shows where it ends$", text, re.MULTILINE)
    assert hint is not None
    reported = (line.replace("(host)", "host") for line in lines)
    assert any(
        line.startswith(f"{hint[1]} must reach database at 172.20.0.2 ") for line in reported
    )
    assert [each["owner"] for each in found if each["verdict"] == "broken"] == ["database"]


def test_silence_of_a_server_that_receives_nothing_is_not_shown(tiers: Site, typed: Typed) -> None:
    """That frontend does not reach database is promised.

    It is no evidence when database hears nothing at all.
    """
    tiers.inside("database", "iptables -A INPUT -i eth0 -j DROP")
    status, text = typed(tiers.lab, "matrix -W 0.15")
    tiers.inside("database", "iptables -F INPUT")

    assert status == 1
    silent = next(
        line
        for line in text.splitlines()
        if line.startswith("frontend must not reach database at 172.20.0.2 ")
    )
    assert silent.endswith("not shown: database answers nobody there (icmp, tcp, udp)")
    assert text.splitlines()[-1].endswith(" not shown")


def test_one_object_for_each_promise(tiers: Site, typed: Typed) -> None:
    """--json: what was expected and why, what was observed, the verdict.

    And a summary at the end.
    """
    status, text = typed(tiers.lab, "matrix --from $LAN --json -W 0.2")
    every = objects(text)
    way = ("frontend", "(world)", "tcp", True)
    masked = next(
        each
        for each in every
        if (each.get("from"), each.get("to"), each.get("protocol"), each.get("expected")) == way
    )

    assert status == 0
    assert every[-1] == {
        "kind": "summary",
        "tried": len(every) - 1,
        "differing": 0,
        "members": ["database", "api", "frontend", "(host)", "(world)"],
    }
    assert {each["kind"] for each in every} == {"reach", "name", "owner", "summary"}
    assert {each["verdict"] for each in every[:-1]} == {"kept"}
    assert (masked["seen"], masked["why"]) == (labs.HOST_IP, "frontend-network leads out")
    assert set(masked["expected_seen"]) == {labs.HOST_IP}


def test_an_address_is_a_world_too(tiers: Site, typed: Typed) -> None:
    """--world: nobody listens there, so it is pinged."""
    status, text = typed(tiers.lab, f"matrix --world {labs.INTERNET} --json -W 0.2")
    world = [each for each in objects(text)[:-1] if each.get("to") == "(world)"]

    assert status == 0
    assert {each["protocol"] for each in world} == {"icmp"}
    assert {each["from"]: each["observed"] for each in world} == {
        "database": False,
        "api": False,
        "frontend": True,
        "(host)": True,
    }


def test_shared_stacks_are_as_those_whose_they_are(lan: Lab, typed: Typed) -> None:
    """none, host, container:NAME: rows and columns like any other."""
    with lan.host() as host:
        with host.operation() as verbs:
            verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
            verbs.run("c1", network="n1")
            verbs.run("c2", network="n1")
            verbs.run("beside", network="container:c1")
            verbs.run("up", network="host")
            verbs.run("alone", network="none")
        status, text = typed(lan, "matrix --from $LAN -W 0.3")
        host.reset()

    assert text.splitlines()[:8] == [
        "who reaches whom   c1   c2   beside   up   (host)   (world)",
        "c1                 -    ●    ●        ●    ●        ●",
        "c2                 ●    -    ●        ●    ●        ●",
        "beside             ●    ●    -        ●    ●        ●",
        "up                 ●    ●    ●        -             ●",
        "alone              ·    ·    ·        ·    ·        ·",
        "(host)             ●    ●    ●             -        ●",
        "",
    ]
    assert status == 0


MODE = "com.docker.network.bridge.gateway_mode_ipv4"


@pytest.mark.parametrize(
    ("mode", "cut", "as_promised"),
    [
        ("nat", "", True),
        ("nat", "iptables -t raw -F PREROUTING", False),
        ("nat-unprotected", "", True),
        ("routed", "", True),
    ],
)
def test_a_published_port_is_tried_at_the_containers_own_address(
    lan: Lab, typed: Typed, mode: str, cut: str, as_promised: bool
) -> None:
    """A client outside that routes there: behind NAT one rule alone keeps it out."""
    with lan.host() as host:
        host.create_network("n1", subnet="172.20.0.0/24", options={MODE: mode})
        host.run("c1", network="n1", publish=("8080:80",))
        within(lan.lan, "ip route add 172.20.0.0/24 via 192.0.2.10")
        sh(cut or "true")
        status, text = typed(lan, "matrix --from $LAN --json -W 0.3")
        host.reset()
    tried = [
        each
        for each in objects(text)
        if each.get("address") == "172.20.0.2" and each.get("port") == 80
    ]

    assert [each["from"] for each in tried] == ["(world)"], text
    assert (status == 0) == as_promised, text


@pytest.mark.needs("macvlan")
def test_macvlan_and_the_host_are_strangers(lan: Lab, typed: Typed) -> None:
    """On the LAN's own subnet: each other and the world, as themselves.

    Not the host, and not who comes by it.
    """
    with lan.host() as host:
        with host.operation() as verbs:
            verbs.create_network(
                "out",
                driver="macvlan",
                subnet="192.0.2.0/24",
                gateway=labs.ROUTER,
                options={"parent": "eth0"},
            )
            verbs.create_network("n1", subnet="172.20.0.0/24")
            verbs.run("m1", network=Attachment("out", ip=IPv4Address("192.0.2.51")))
            verbs.run("m2", network=Attachment("out", ip=IPv4Address("192.0.2.52")))
            verbs.run("c1", network="n1")
        status, text = typed(lan, "matrix --from $LAN -W 0.3")
        within(lan.lan, "ip addr add 192.0.2.51/32 dev port0")
        twin, twins = typed(lan, "matrix -W 0.2")
        within(lan.lan, "ip addr del 192.0.2.51/32 dev port0")
        host.reset()

    assert text.splitlines()[:6] == [
        "who reaches whom   m1   m2   c1   (host)   (world)",
        "m1                 -    ●    ·    ·        ◐",  # they have no IPv6, and the world has
        "m2                 ●    -    ·    ·        ◐",
        "c1                 ·    ·    -    ◐        ◐",
        "(host)             ·    ·    ●    -        ●",
        "(world)            ●    ●                  -",
    ]
    assert (status, twin) == (0, 1)
    assert "192.0.2.51 of m1 on out must be" in twins


# -- the table alone ---------------------------------------------------------------


def outcomes(names: list[str]) -> list[Observation]:
    """Everybody reaches everybody."""
    made = [
        Promise(a, b, IPv4Address("172.20.0.2"), Protocol.ICMP, True, "")
        for a in names
        for b in names
        if a != b
    ]
    return [Observation(promise, reached=True) for promise in made]


def test_thirty_fit_on_a_screen() -> None:
    """Where names do not fit, the columns have numbers, which the rows have as well."""
    names = [f"container-{number}" for number in range(1, 31)]
    lines = next(view.tables(Matrix(names, outcomes(names)), {})).splitlines()

    assert max(map(len, lines)) <= 100
    assert lines[0].split()[-1] == "30"
    assert lines[30].startswith("30 container-30")


def test_hundreds_are_shown_together() -> None:
    """Those on the same networks are a row and a column."""
    names = [f"c{number}" for number in range(50)]
    alike = {name: "25 on n1" if number % 2 else "25 on n2" for number, name in enumerate(names)}

    assert next(view.tables(Matrix(names, outcomes(names)), alike)).splitlines() == [
        "who reaches whom   25 on n2   25 on n1",
        "25 on n2           ●          ●",
        "25 on n1           ●          ●",
    ]


def test_symbols_are_painted_one_by_one() -> None:
    """On a terminal they have colours; what is broken stands out."""
    broken = outcomes(["a", "b"])
    broken[0] = replace(broken[0], reached=False)
    text = next(view.tables(Matrix(["a", "b"], broken), {}, lambda symbol: f"<{symbol}>"))

    assert text.splitlines()[1:] == ["a                  <->   <✗>", "b                  <●>   <->"]


def test_a_hint_names_the_published_port() -> None:
    """So that it can be typed as it stands."""
    service = Service(8080, IPv4Address("172.20.0.2"), 80)
    promise = Promise(
        HOST, "web", IPv4Address("192.0.2.10"), Protocol.UDP, True, "it is published", service
    )

    assert view.differences(Matrix([HOST, "web"], [Observation(promise, said="no answer")])) == [
        "(host) must reach web at 192.0.2.10 port 8080 (it is published): no answer (udp)",
        "plumb trace host 192.0.2.10:8080/udp    shows where it ends",
    ]
