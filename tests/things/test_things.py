"""Things: which object each one is, where it lives, what it brings and what it is lost with."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.things import HOST, Stage, Thing
from plumb.things.iptables import Chain, Family, Policy, Position, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth
from plumb.things.sandbox import Directory, File, Namespace, Process

NS = "/run/netns/box"
THINGS: list[Thing] = [
    Bridge("br0", "02:00:00:00:00:01"),
    Veth("veth0", "br0", "eth0", NS, "02:00:00:00:00:02"),
    Up("br0"),
    Up("eth0", NS),
    Address("br0", IPv4Interface("10.9.0.1/24")),
    Address("eth0", IPv6Interface("fd09::2/64"), NS),
    Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.9.0.1"), "eth0", NS),
    Sysctl("net/ipv4/ip_forward", "1"),
    Sysctl("net/ipv6/conf/br0/accept_ra", "0"),
    Chain(Family.V4, "filter", "PLUMB"),
    Chain(Family.V6, "filter", "PLUMB"),
    Rule(Family.V4, "filter", "PLUMB", "-o br0 -j DROP"),
    Rule(Family.V4, "filter", "FORWARD", "-j PLUMB"),
    Policy(Family.V4, "filter", "FORWARD", "DROP"),
    Directory("/c/box"),
    File("/c/box/hosts", "text"),
    Namespace(NS),
    Process("box", "/c/box", "/c/box", NS, ("sleep", "1"), "box", ()),
]


@pytest.mark.parametrize("thing", THINGS, ids=str)
def test_a_thing_is_a_value(thing: Thing) -> None:
    """Frozen, hashable, with a key of words, and among what it makes itself."""
    with pytest.raises(FrozenInstanceError):
        thing.stage = Stage.UP  # type: ignore[misc]  # that it cannot be set is what is tested
    assert hash(thing) == hash(thing)
    assert all(isinstance(word, str) for word in thing.key)
    assert thing.key in thing.makes
    assert str(thing)


def test_keys_tell_things_apart() -> None:
    """No two of these are the same object."""
    assert len({thing.key for thing in THINGS}) == len(THINGS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Bridge("br0", "02:00:00:00:00:01"), Bridge("br0", "02:00:00:00:00:09", 1400)),
        (Sysctl("net/ipv4/ip_forward", "0"), Sysctl("net/ipv4/ip_forward", "1")),
        (
            Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.9.0.1"), "eth0", NS),
            Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.8.0.1"), "eth1", NS),
        ),
        (
            Policy(Family.V4, "filter", "FORWARD", "DROP"),
            Policy(Family.V4, "filter", "FORWARD", "ACCEPT"),
        ),
        (File("/f", "a"), File("/f", "b")),
    ],
)
def test_two_states_of_one_object(one: Thing, other: Thing) -> None:
    """The same key, and not equal."""
    assert one.key == other.key
    assert one != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Up("eth0", NS), Up("eth0")),
        (
            Address("eth0", IPv4Interface("10.0.0.1/24")),
            Address("eth0", IPv4Interface("10.0.0.1/16")),
        ),
        (
            Rule(Family.V4, "filter", "PLUMB", "-j DROP"),
            Rule(Family.V6, "filter", "PLUMB", "-j DROP"),
        ),
        (Sysctl("a/b", "1"), Sysctl("a/b", "1", NS)),
    ],
)
def test_two_objects(one: Thing, other: Thing) -> None:
    """Another namespace, another prefix length, another family."""
    assert one.key != other.key


def test_a_cable_s_other_end() -> None:
    """It is made with the cable, in the sandbox, and what is on it is lost with it."""
    cable = Veth("veth0", "br0", "eth0", NS, "02:00:00:00:00:02")
    assert cable.makes == (("link", HOST, "veth0"), ("link", NS, "eth0"))
    assert set(Address("eth0", IPv4Interface("10.0.0.2/24"), NS).uses) & set(cable.makes) == {
        ("link", NS, "eth0")
    }


def test_a_namespace_comes_with_lo() -> None:
    """And takes all that is in it along."""
    assert ("link", NS, "lo") in Namespace(NS).makes
    assert Namespace(NS).key in Up("eth0", NS).uses


@pytest.mark.parametrize(
    ("name", "dev"),
    [
        ("net/ipv4/ip_forward", None),
        ("net/ipv6/conf/br0/accept_ra", "br0"),
        ("net/ipv4/conf/all/forwarding", None),
        ("net/ipv6/conf/default/forwarding", None),
        ("net/ipv4/conf/eth0.100/forwarding", "eth0.100"),
        ("net/ipv4/neigh/eth0/gc_stale_time", "eth0"),
        ("net/bridge/bridge-nf-call-iptables", None),
    ],
)
def test_a_link_s_setting_goes_with_the_link(name: str, dev: str | None) -> None:
    """And comes right after it; the namespace's own come late."""
    setting = Sysctl(name, "1")
    assert setting.dev == dev
    assert setting.uses == ((("link", HOST, dev),) if dev else ())
    assert setting.stage is (Stage.LINK_SYSCTL if dev else Stage.SYSCTL)


@pytest.mark.parametrize(
    ("thing", "permanent"),
    [
        (Sysctl("a/b", "1"), True),
        (Policy(Family.V4, "filter", "FORWARD", "DROP"), True),
        (Up("lo"), False),
        (Rule(Family.V4, "filter", "PLUMB", "-j DROP"), False),
    ],
)
def test_what_has_no_absence(thing: Thing, permanent: bool) -> None:
    """Settings and policies only have another value."""
    assert thing.permanent is permanent


def test_stages_build_the_wall_before_anything_moves() -> None:
    """Rules before links go up, routes at last."""
    assert (
        Stage.NAMESPACE
        < Stage.CHAIN
        < Stage.LINK
        < Stage.ADDRESS
        < Stage.RULE
        < Stage.UP
        < Stage.ROUTE
        < Stage.PROCESS
    )


# -- rules ---------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "-A PLUMB -o br0 -j DROP",
        "-I FORWARD -j PLUMB-USER",
        '-A PLUMB -m comment --comment "two words" -j RETURN',
        "-A X -j Y",
    ],
)
def test_a_rule_is_read_and_printed(line: str) -> None:
    """In iptables' own spelling, either way."""
    assert str(Rule.parse(line)) == line


@given(
    st.sampled_from(Position), st.from_regex(r"[A-Z-]{1,20}", fullmatch=True), st.text(min_size=1)
)
def test_reading_is_the_inverse_of_printing(place: Position, chain: str, spec: str) -> None:
    """Of any rule."""
    rule = Rule(Family.V6, "nat", chain, spec, place)
    again = Rule.parse(str(rule), Family.V6, "nat")
    assert again == rule
    assert again.place == place


@pytest.mark.parametrize("line", ["", "-A", "-A PLUMB", "-N PLUMB x", "PLUMB -j DROP"])
def test_what_is_no_rule(line: str) -> None:
    """It is an error."""
    with pytest.raises(ValueError, match=r"unpack|Position"):
        Rule.parse(line)


def test_a_rule_s_place_and_reason_do_not_make_it_another() -> None:
    """iptables does not print them back."""
    assert Rule(Family.V4, "filter", "X", "-j Y", Position.HEAD, "why") == Rule(
        Family.V4, "filter", "X", "-j Y"
    )


def test_a_rule_is_lost_with_its_chain() -> None:
    """A built-in chain is always there."""
    assert Rule(Family.V4, "filter", "PLUMB", "-j DROP").uses == (
        Chain(Family.V4, "filter", "PLUMB").key,
    )
    assert Rule(Family.V4, "filter", "FORWARD", "-j PLUMB").uses == ()


def test_words_of_a_rule() -> None:
    """As a shell would part them."""
    assert Rule(Family.V4, "filter", "X", '-m comment --comment "two words" -j Y').words == [
        "-m",
        "comment",
        "--comment",
        "two words",
        "-j",
        "Y",
    ]
