"""Docker's objects: each one that a recorded Docker host has is explained.

The recordings are those of the conformance tests: hosts of today's main, with both back ends, on
their own and as nodes of a swarm, each with its containers and the engine's own namespaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from plumb.explain.known_objects import ALL, INSIDE_LINKS, known_object
from plumb.explain.known_rules import SOMEBODYS, known
from tests import REPOSITORY

RECORDINGS = sorted((REPOSITORY / "tests/conformance/golden").glob("*.json"))
HOOKS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
OF_THE_MACHINE = frozenset({"lo", "eth0", "lab0", "wan0", "net0", "if0", "if1", "own0"})
"""Links of the recorded machine itself, and names that a scenario has given."""


def places(recording: dict[str, Any]) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Each namespace of a recording, and if it is one of the engine's."""
    yield from ((False, state) for state in recording.get("hosts", {}).values())
    yield from ((True, box["state"]) for box in recording.get("containers", {}).values())
    for other in (recording.get("others") or {}).values():
        yield True, other if "links" in other else other.get("state", {})


def rules(state: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The rules of a namespace: table, chain, text."""
    for tool in ("iptables", "ip6tables"):
        for table, chains in (state.get(tool) or {}).items():
            for chain, found in chains.items():
                yield from ((table, chain, each) for each in found["rules"])
    yield from native(state.get("nft", ""))


def native(text: str) -> Iterator[tuple[str, str, str]]:
    """The rules in what `nft list ruleset` has printed."""
    table = chain = ""
    for line in map(str.strip, text.splitlines()):
        words = line.split()
        if words[:1] == ["table"]:
            table = words[2]
        elif words[:1] in (["map"], ["chain"]):
            chain = words[1] if words[0] == "chain" else ""
        elif chain and words and words[0] not in ("type", "}"):
            yield table, chain, line


def named(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The other objects of a namespace: their kinds and names."""
    for tool in ("iptables", "ip6tables"):
        for chains in (state.get(tool) or {}).values():
            yield from (("chain", name) for name in chains if name not in HOOKS)
    for kind, name in re.findall(r"(?m)^\s*(table \w+|map|chain) (\S+) \{", state.get("nft", "")):
        yield kind.partition(" ")[0], name
    for name in state.get("links", {}):
        if name not in OF_THE_MACHINE:
            yield (
                "link",
                re.sub(r"<[^>]*>", "0123456789ab" if name[2:3] == "-" else "0123456", name),
            )
    yield from (("sysctl", name) for name in state.get("sysctls", {}))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_all_of_a_recorded_docker_host_is_explained(path: Any) -> None:
    """Chains, rules, tables, maps, links, settings: of the host, its containers and the mesh."""
    recording = json.loads(path.read_text())
    unknown: list[tuple[str, ...]] = [
        each
        for inside, state in places(recording)
        for each in rules(state)
        if known(*each, inside=inside) == SOMEBODYS
    ]
    unknown += [
        each
        for inside, state in places(recording)
        for each in named(state)
        if known_object(*each, inside) is None
    ]
    assert unknown == []


@pytest.mark.parametrize("each", [*ALL, *INSIDE_LINKS], ids=lambda each: f"{each.kind}-{each.name}")
def test_an_object_has_an_owner_and_a_purpose(each: Any) -> None:
    """And no other kind of it has its name."""
    assert each.kind in {"chain", "table", "map", "comment", "link", "sysctl", "namespace"}
    assert each.owner
    assert each.why


@pytest.mark.parametrize(
    ("table", "chain", "words", "inside", "says"),
    [
        ("filter", "DOCKER-USER", "-j RETURN", False, "nobody has a rule of their own"),
        (
            "filter",
            "DOCKER-ISOLATION-STAGE-1",
            "-i br-0 ! -o br-0 -j DOCKER-ISOLATION-STAGE-2",
            False,
            "to another one",
        ),
        ("filter", "FORWARD", "-i br-0 -o br-0 -j ACCEPT", False, "reach each other"),
        ("docker-bridges", "x", 'iifname "br-0" counter accept comment "ICC"', False, "each other"),
        ("docker-dns", "dns-dnat", "ip daddr 127.0.0.11 udp dport 53 dnat to :1", True, "DNS"),
        ("mangle", "PREROUTING", "-p tcp --dport 80 -j MARK --set-xmark 0x1", True, "IPVS"),
        ("mangle", "PREROUTING", "-p tcp --dport 80 -j MARK --set-xmark 0x1", False, SOMEBODYS),
        ("filter", "INPUT", "-d 10.0.0.4/32 -p tcp -j DROP", False, SOMEBODYS),
        (
            "nat",
            "POSTROUTING",
            '-s 10.1.0.0/24 -m comment --comment "generated for LXD network x" -j MASQUERADE',
            False,
            "LXD's",
        ),
    ],
)
def test_a_rule_is_put_to_its_owner(
    table: str, chain: str, words: str, inside: bool, says: str
) -> None:
    """On the host the words of a service's rules may be anybody's."""
    assert says in known(table, chain, words, inside)
