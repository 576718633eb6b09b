"""Rule steps: rule hits with the text of each rule, and the reason for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plumb.explain.known_rules import SOMEBODYS, known
from plumb.kernel.netfilter.iptables_save import parse
from plumb.model.observations import Netns, RuleHit, RuleKind
from plumb.things.iptables import Family, Policy, Rule
from plumb.trace.rule_steps import ENTERED, NO_RECORD, RulesetListing, listed, read, recorded

HOST = Netns("host", "")
SAVED = parse("""*filter
:FORWARD DROP [0:0]
:PLUMB - [0:0]
:PLUMB-CT - [0:0]
:PLUMB-USER - [0:0]
-A FORWARD -j PLUMB-USER
-A FORWARD -j PLUMB
-A PLUMB -j PLUMB-CT
-A PLUMB -d 172.20.0.2/32 ! -i br1 -o br1 -p tcp -m tcp --dport 80 -j ACCEPT
-A PLUMB ! -i br1 -o br1 -j REJECT
-A PLUMB-CT -o br1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
""")
HANDLES = {
    ("ip", "filter", "FORWARD"): [10, 11],
    ("ip", "filter", "PLUMB"): [20, 21, 22],
    ("ip", "filter", "PLUMB-CT"): [30],
}
LISTING = RulesetListing(handles=HANDLES, saved={("nft", "ip"): SAVED, ("legacy", "ip"): SAVED})
NATIVE = """table inet fw {
	chain guard { # handle 1
		type filter hook forward priority filter; policy drop;
		iifname "eth0" counter packets 7 bytes 900 accept # handle 4
		ip daddr 192.0.2.1 drop # handle 5
	}
}
"""


def step(
    chain: str, handle: int, verdict: str, kind: RuleKind = RuleKind.RULE, backend: str = "nft"
) -> RuleHit:
    """Rule hit of the filter table; a legacy one has the handle as its number, and no verdict."""
    legacy = backend == "legacy"
    return RuleHit(
        0,
        HOST,
        backend,
        "ip",
        "filter",
        chain,
        kind,
        "" if legacy else verdict,
        0 if legacy else handle,
        handle if legacy else 0,
    )


WALK = (
    step("FORWARD", 10, "jump PLUMB-USER"),
    step("PLUMB-USER", 0, "return", RuleKind.RETURN),
    step("FORWARD", 11, "jump PLUMB"),
    step("PLUMB", 20, "jump PLUMB-CT"),
    step("PLUMB-CT", 0, "return", RuleKind.RETURN),
    step("PLUMB", 21, "accept"),
)


def test_steps_without_an_effect_are_left_out() -> None:
    """A jump to a chain in which no rule matched has none; one that led to a verdict has."""
    found = [
        (line.where, line.number, line.verdict, line.hook)
        for line in read(WALK, {"host": LISTING}, NO_RECORD)
    ]

    assert found == [
        ("filter FORWARD", 2, "jump PLUMB", "forward"),
        ("filter PLUMB", 2, "accept", "forward"),
    ]


def test_a_legacy_walk_is_the_same() -> None:
    """There the kernel reports the rule and no verdict, which is in the rule's text."""
    walk = [
        replace(each, backend="legacy", number=number, handle=0, verdict="")
        for each, number in zip(WALK, (1, 1, 2, 1, 2, 2), strict=True)
    ]

    assert [line.verdict for line in read(walk, {"host": LISTING}, NO_RECORD)] == [
        "jump PLUMB",
        "accept",
    ]


def test_a_policy_is_shown_if_it_drops() -> None:
    """A policy that accepts is shown if it alone decided on forwarding."""
    drop = RuleHit(0, HOST, "nft", "ip", "filter", "FORWARD", RuleKind.POLICY, "drop")
    lines = [*read([drop], {"host": LISTING}, NO_RECORD)]

    assert [(line.text, line.drops) for line in lines] == [("policy DROP", True)]
    assert [
        *read([replace(drop, verdict="accept", chain="INPUT")], {"host": LISTING}, NO_RECORD)
    ] == []
    assert [
        line.text for line in read([replace(drop, verdict="accept")], {"host": LISTING}, NO_RECORD)
    ] == ["policy ACCEPT"]
    assert [
        line.verdict
        for line in read(
            [replace(drop, backend="legacy", verdict="")], {"host": LISTING}, NO_RECORD
        )
    ] == ["drop"]


def test_a_reject_tells_the_sender() -> None:
    """Its verdict is a drop; the rule's text shows the difference."""
    (line,) = read([step("PLUMB", 22, "drop")], {"host": LISTING}, NO_RECORD)

    assert line.rejects


def test_rules_of_nfts_own() -> None:
    """They have the text of nft's listing, without counters; a base chain has its hook."""
    listing = listed(NATIVE)
    walk = [
        RuleHit(0, HOST, "nft", "inet", "fw", "guard", RuleKind.RULE, "accept", 4),
        RuleHit(0, HOST, "nft", "inet", "fw", "guard", RuleKind.RULE, "drop", 5),
    ]
    first, second = read(walk, {"host": listing}, NO_RECORD)

    assert (first.where, first.number, first.text, first.hook) == (
        "inet fw guard",
        1,
        'iifname "eth0" counter accept',
        "forward",
    )
    assert (second.number, second.native, second.drops) == (2, True, True)
    assert listing.hooked["inet", "fw", "guard"].policy == "drop"


def test_a_deleted_rule_is_left_out() -> None:
    """Another program may delete it between the packet and the listing."""
    assert [*read([step("PLUMB", 99, "accept")], {"host": LISTING}, NO_RECORD)] == []


def test_plumbs_own_reasons_come_first() -> None:
    """The store has them with the rules."""
    rule = Rule(
        Family.V4,
        "filter",
        "PLUMB",
        "-d 172.20.0.2/32 ! -i br1 -o br1 -p tcp -m tcp --dport 80 -j ACCEPT",
        why="because of c1",
    )
    policy = Policy(Family.V4, "filter", "FORWARD", "DROP", why="forwarding was off")
    reasons = recorded({each.key: each for each in (rule, policy)}.get)
    (line,) = read([step("PLUMB", 21, "accept")], {"host": LISTING}, reasons)
    (last,) = read([step("FORWARD", 0, "drop", RuleKind.POLICY)], {"host": LISTING}, reasons)

    assert (line.why, line.mine) == ("because of c1", True)
    assert last.why == "forwarding was off"


def test_a_policy_knows_whether_its_chain_leads_to_an_engine() -> None:
    """Chains alone do not say so: a flush of FORWARD leaves them."""
    drop = step("FORWARD", 0, "drop", RuleKind.POLICY)
    flushed = {**SAVED, "filter": {**SAVED["filter"], "FORWARD": ("DROP", [])}}
    without = replace(LISTING, saved={("nft", "ip"): flushed})
    found = [
        line.beside
        for listing in (LISTING, without)
        for line in read([drop], {"host": listing}, NO_RECORD)
    ]
    assert found == [{"engine", ENTERED}, {"engine"}]


@pytest.mark.parametrize(
    ("table", "chain", "words", "says"),
    [
        ("filter", "FORWARD", "-j DOCKER-USER", "administrator"),
        ("filter", "DOCKER-USER", "-s 10.0.0.0/8 -j DROP", "administrator's own rule"),
        ("filter", "DOCKER", "! -i docker0 -o docker0 -j DROP", "only published ports"),
        (
            "filter",
            "DOCKER",
            "-d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
            "this port is published",
        ),
        ("filter", "DOCKER-FORWARD", "-i docker0 -j ACCEPT", "may send anywhere"),
        ("filter", "DOCKER-FORWARD", "-i br-0 -o br-0 -j DROP", "icc=false"),
        ("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j DOCKER", "published port"),
        (
            "nat",
            "DOCKER",
            "! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80",
            "published",
        ),
        (
            "nat",
            "POSTROUTING",
            "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
            "the world does not know",
        ),
        (
            "nat",
            "POSTROUTING",
            "-s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
            "reaches itself",
        ),
        ("raw", "PREROUTING", "-d 172.17.0.2/32 ! -i docker0 -j DROP", "not by routing"),
        (
            "raw",
            "PREROUTING",
            "-d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 80 -j DROP",
            "loopback",
        ),
        (
            "docker-bridges",
            "raw-PREROUTING",
            'ip daddr 172.17.0.2 iifname != "docker0" counter drop',
            "not by routing",
        ),
        ("filter", "ufw-user-input", "-p tcp -j DROP", "ufw"),
        ("filter", "FORWARD", "-j LIBVIRT_FWO", "libvirt"),
        ("filter", "FORWARD", "-s 10.0.0.0/8 -j DROP", SOMEBODYS),
    ],
)
def test_owners_of_other_rules(table: str, chain: str, words: str, says: str) -> None:
    """A real Docker's rules are known by pattern; of others, at least the owner."""
    assert says in known(table, chain, words)
