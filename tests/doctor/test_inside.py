"""Rules in containers' own namespaces, on snapshots."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from plumb.doctor import diagnose
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


def found(*rules: RuleState, policy: str = "drop", tool: str = "iptables-nft") -> dict[str, str]:
    """Findings of a container with a published port and these rules in its INPUT, with grades."""
    chain = ChainState(tool, "ip", "filter", "INPUT", rules, "input", 0, policy)
    space = NamespaceState(
        "web",
        (Link(Netns("web", "/x"), 2, "eth0"),),
        (("eth0", WEB),),
        listeners=(Listener("tcp", ip_address("0.0.0.0"), 80),),
        chains=(chain,),
    )
    end = EndState("n", "", WEB, None, (Port(80, "tcp", ip_address("0.0.0.0"), 8080),))
    box = ContainerState("web", "docker", "web", (end,))
    net = NetworkState("n", "n", "docker", "macvlan")
    every = diagnose.diagnose(Snapshot(NamespaceState("host"), (space,), (box,), (net,)))
    return {each.id: str(each.grade) for each in every if "inside" in each.id}


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
