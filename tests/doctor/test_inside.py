"""Rules in containers' own namespaces, on snapshots."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plumb.model.diagnosis.finding import Finding, Grade
from plumb.model.diagnosis.remedy import Remedy
from plumb.model.diagnosis.snapshot import (
    ChainState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from tests.doctor.made import WEB, chain, found, rule, web

ACCEPT_LAN = rule("-s 10.0.0.0/8 -j ACCEPT", "accept", {"saddr": "10.0.0.0/8"})
ACCEPT_80 = rule("--dport 80 -j ACCEPT", "accept", {"dport": "80"})
DROP_80 = rule("--dport 80 -j DROP", "drop", {"dport": "80"})
ANSWERS = rule("-j ACCEPT", "accept", {"ct state": "established"})
REST = rule("-j DROP", "drop")
UNREAD = rule("… accept", "accept", {"": ""})


def graded(*rules: RuleState, policy: str = "drop", tool: str = "iptables-nft") -> dict[str, str]:
    """Findings of a container with a published port and these rules in its INPUT, with grades."""
    made = chain("INPUT", *rules, policy=policy, tool=tool)
    return {each.id: str(each.grade) for each in findings(made)}


def findings(*chains: ChainState) -> list[Finding]:
    """Findings of a container with a port published by TCP and UDP, and these chains."""
    space = NamespaceState(
        "web",
        (Link(Netns("web", "/x"), 2, "eth0"),),
        (("eth0", WEB),),
        listeners=(Listener("tcp", ip_address("0.0.0.0"), 80),),
        chains=chains,
    )
    net = NetworkState("n", "n", "docker", "macvlan")
    every = found(Snapshot(NamespaceState("host"), (space,), (web("tcp", "udp"),), (net,)))
    return [each for each in every.values() if "inside" in each.id]


@pytest.mark.parametrize(
    ("rules", "policy", "expected"),
    [
        ((), "accept", {}),
        ((), "drop", {"port-dropped-inside": "proven"}),
        ((ANSWERS,), "drop", {"port-dropped-inside": "proven"}),
        ((ANSWERS, ACCEPT_80), "drop", {"firewall-inside": "hint"}),
        ((ACCEPT_LAN,), "drop", {"firewall-inside": "hint"}),
        ((DROP_80,), "accept", {"port-dropped-inside": "proven"}),
        ((ACCEPT_80, DROP_80), "accept", {}),
        ((ACCEPT_LAN, DROP_80), "accept", {}),
        ((ACCEPT_80, REST), "accept", {"firewall-inside": "hint"}),
        ((UNREAD,), "drop", {"firewall-inside": "hint"}),
    ],
)
def test_a_port_is_dropped_where_no_rule_may_accept_it(
    rules: tuple[RuleState, ...], policy: str, expected: dict[str, str]
) -> None:
    """A rule for some clients only is a choice, and no proof."""
    assert graded(*rules, policy=policy) == expected


@pytest.mark.parametrize("tool", ["nft", "iptables-legacy"])
def test_the_owner_of_the_rules_is_no_matter(tool: str) -> None:
    """Legacy tables and nft's own are read alike."""
    assert graded(tool=tool) == {"port-dropped-inside": "proven"}


def test_the_remedy_opens_these_ports_alone() -> None:
    """One finding names all ports that a chain drops, and the rule that does."""
    (mine,) = findings(chain("INPUT", ANSWERS, DROP_80, policy="drop"))
    assert "ports 80/tcp, 80/udp: a rule drops them: --dport 80 -j DROP" in mine.subject
    (remedy,) = mine.remedies
    assert isinstance(remedy, Remedy)
    words = ("iptables-nft", "-t", "filter", "-I", "INPUT", "-p", "tcp", "--dport", "80")
    assert remedy.steps[0].argv == (*words, "-j", "ACCEPT")
    assert {each.place for each in remedy.steps} == {"web"}
    assert remedy.steps[1].undo[0][3:7] == ("-D", "INPUT", "-p", "udp")


def test_the_policy_is_the_reason_where_no_rule_decides() -> None:
    (mine,) = findings(chain("INPUT", ANSWERS, policy="drop"))
    assert mine.subject.endswith("its policy is drop")


def test_a_firewall_that_may_be_meant_is_only_listed() -> None:
    """To open it would open all that it keeps out."""
    (mine,) = findings(chain("INPUT", ACCEPT_80, policy="drop"))
    assert str(mine.remedies[0]).endswith("iptables-nft -t filter -S INPUT")
    assert not isinstance(mine.remedies[0], Remedy)


@pytest.mark.parametrize(("to", "grade"), [("80", Grade.LIKELY), ("90", Grade.PROVEN)])
def test_a_port_that_is_rewritten_first_is_no_proof(to: str, grade: Grade) -> None:
    """The rules of nat that come first may choose one that is open."""
    rewrites = rule("-j REDIRECT --to-ports 81", "accept", {"dport": to})
    nat = chain("PREROUTING", rule("-j mine", "jump"), table="nat")
    ahead = (nat, chain("mine", rewrites, table="nat"))
    (mine,) = findings(chain("INPUT", policy="drop"), *ahead)
    assert mine.grade is grade


def test_chains_of_nat_filter_nothing() -> None:
    """Whatever the name of their table is."""
    assert findings(ChainState("nft", "inet", "t", "c", (), "input", 0, "drop", "nat")) == []
