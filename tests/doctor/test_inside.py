"""Rules in containers' own namespaces, on snapshots."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from plumb.doctor import diagnose
from plumb.model.diagnosis.finding import Finding, Grade
from plumb.model.diagnosis.remedy import Remedy
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from plumb.model.ports import Port

WEB = ip_interface("172.20.0.2/24")
ACCEPT_LAN = RuleState("-s 10.0.0.0/8 -j ACCEPT", (("saddr", ("10.0.0.0/8",), False),), "accept")
ACCEPT_80 = RuleState("--dport 80 -j ACCEPT", (("dport", ("80",), False),), "accept")
DROP_80 = RuleState("--dport 80 -j DROP", (("dport", ("80",), False),), "drop")
ANSWERS = RuleState("-j ACCEPT", (("ct state", ("established",), False),), "accept")
REST = RuleState("-j DROP", (), "drop")


UNREAD = RuleState("… accept", (("", (), False),), "accept")


def found(*rules: RuleState, policy: str = "drop", tool: str = "iptables-nft") -> dict[str, str]:
    """Findings of a container with a published port and these rules in its INPUT, with grades."""
    chain = ChainState(tool, "ip", "filter", "INPUT", rules, "input", 0, policy)
    return {each.id: str(each.grade) for each in findings(chain)}


def findings(*chains: ChainState) -> list[Finding]:
    """Findings of a container with a port published by TCP and UDP, and these chains."""
    space = NamespaceState(
        "web",
        (Link(Netns("web", "/x"), 2, "eth0"),),
        (("eth0", WEB),),
        listeners=(Listener("tcp", ip_address("0.0.0.0"), 80),),
        chains=chains,
    )
    ports = tuple(Port(80, each, ip_address("0.0.0.0"), 8080) for each in ("tcp", "udp"))
    end = EndState("n", "", WEB, None, ports)
    box = ContainerState("web", "docker", "web", (end,))
    net = NetworkState("n", "n", "docker", "macvlan")
    every = diagnose.diagnose(Snapshot(NamespaceState("host"), (space,), (box,), (net,)))
    return [each for each in every if "inside" in each.id]


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
    assert found(*rules, policy=policy) == expected


@pytest.mark.parametrize("tool", ["nft", "iptables-legacy"])
def test_the_owner_of_the_rules_is_no_matter(tool: str) -> None:
    """Legacy tables and nft's own are read alike."""
    assert found(tool=tool) == {"port-dropped-inside": "proven"}


def input_chain(*rules: RuleState, policy: str = "accept") -> ChainState:
    """INPUT of iptables' table filter."""
    return ChainState("iptables-nft", "ip", "filter", "INPUT", rules, "input", 0, policy)


def test_the_remedy_opens_these_ports_alone() -> None:
    """One finding names all ports that a chain drops, and the rule that does."""
    (mine,) = findings(input_chain(ANSWERS, DROP_80, policy="drop"))
    assert "ports 80/tcp, 80/udp: a rule drops them: --dport 80 -j DROP" in mine.subject
    (remedy,) = mine.remedies
    assert isinstance(remedy, Remedy)
    words = ("iptables-nft", "-t", "filter", "-I", "INPUT", "-p", "tcp", "--dport", "80")
    assert remedy.steps[0].argv == (*words, "-j", "ACCEPT")
    assert {each.place for each in remedy.steps} == {"web"}
    assert remedy.steps[1].undo[0][3:7] == ("-D", "INPUT", "-p", "udp")


def test_the_policy_is_the_reason_where_no_rule_decides() -> None:
    (mine,) = findings(input_chain(ANSWERS, policy="drop"))
    assert mine.subject.endswith("its policy is drop")


def test_a_firewall_that_may_be_meant_is_only_listed() -> None:
    """To open it would open all that it keeps out."""
    (mine,) = findings(input_chain(ACCEPT_80, policy="drop"))
    assert str(mine.remedies[0]).endswith("iptables-nft -t filter -S INPUT")
    assert not isinstance(mine.remedies[0], Remedy)


@pytest.mark.parametrize(("to", "grade"), [("80", Grade.LIKELY), ("90", Grade.PROVEN)])
def test_a_port_that_is_rewritten_first_is_no_proof(to: str, grade: Grade) -> None:
    """The rules of nat that come first may choose one that is open."""
    rewrites = RuleState("-j REDIRECT --to-ports 81", (("dport", (to,), False),), "accept")
    jumps = RuleState("-j mine", (), "jump", "mine")
    before = ("iptables-nft", "ip", "nat")
    nat = ChainState(*before, "PREROUTING", (jumps,), "prerouting", -100, "accept")
    (mine,) = findings(input_chain(policy="drop"), nat, ChainState(*before, "mine", (rewrites,)))
    assert mine.grade is grade


def test_chains_of_nat_filter_nothing() -> None:
    """Whatever the name of their table is."""
    assert findings(ChainState("nft", "inet", "t", "c", (), "input", 0, "drop", "nat")) == []
