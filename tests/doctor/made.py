"""Snapshots that a test makes by hand: a network shop of Docker's, on it web, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from types import MappingProxyType

from plumb.doctor import diagnose
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.ports import Port

SUBNET = ip_network("172.20.0.0/24")
WEB = ip_interface("172.20.0.2/24")
SHOP = NetworkState(
    "n", "shop", "docker", "bridge", "br0", "", (SUBNET,), (SUBNET[1],), bridge_in_host=True
)
HOOKS = frozenset({"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"})
"""Base chains of iptables, which have the names of their hooks."""


def web(*protocols: str, engine: str = "docker") -> ContainerState:
    """A container on shop, whose port 80 is published as 8080 by some protocols."""
    ports = tuple(Port(80, each, ip_address("0.0.0.0"), 8080) for each in protocols)
    return ContainerState("web", engine, "web", (EndState("n", "", WEB, None, ports),))


def rule(
    words: str,
    verdict: str = "",
    conditions: Mapping[str, str] = MappingProxyType({}),
    packets: int = 0,
) -> RuleState:
    """A rule of iptables.

    Args:
        conditions: values by their keys; a key with ! before it is negated.
    """
    compared = tuple(
        (key.removeprefix("!"), (value,), key.startswith("!")) for key, value in conditions.items()
    )
    target = words.partition("-j ")[2] if verdict == "jump" else ""
    return RuleState(words, compared, verdict, target, packets)


def chain(
    name: str,
    *rules: RuleState,
    policy: str = "",
    tool: str = "iptables-nft",
    table: str = "filter",
    family: str = "ip",
) -> ChainState:
    """A chain of iptables; a base chain by its name, whose policy is "accept" if not given."""
    hook = name.lower() if name in HOOKS else ""
    policy = policy or ("accept" if hook else "")
    return ChainState(tool, family, table, name, rules, hook, 0, policy)


def found(snapshot: Snapshot) -> dict[str, Finding]:
    """The findings by their ids."""
    return {each.id: each for each in diagnose.diagnose(snapshot)}


def graded(snapshot: Snapshot, ids: Sequence[str]) -> dict[str, str]:
    """The grades of those of some findings that are there."""
    every = found(snapshot)
    return {each: str(every[each].grade) for each in ids if each in every}
