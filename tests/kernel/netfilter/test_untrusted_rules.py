"""Rules that somebody in a container has written: whatever their text is, it stays text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from plumb.kernel.diagnosis import rule_sets
from plumb.kernel.netfilter import foreign_chains, iptables_save, rule_set_size, ruleset
from plumb.kernel.netfilter.foreign_rules import UNKNOWN, from_iptables, from_nft
from plumb.kernel.netfilter.libnftables import nft
from plumb.model.observations import Netns, RuleHit, RuleKind
from tests import labs
from tests.labs import sh

PORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATE = {"ct": {"key": "state"}}


@pytest.fixture(autouse=True)
def lab() -> Iterator[None]:
    """A namespace of its own."""
    with labs.lab():
        yield


def test_a_comment_is_no_line_of_its_own() -> None:
    """With the end of a line, a quotation mark, and a byte that is no text."""
    comment = "'a\\\n:INPUT DROP [0:0]\n\\\"'$'\\xff'"
    sh(f"iptables-nft -A INPUT -m comment --comment {comment} -j ACCEPT")
    failed: list[str] = []
    (chain,) = (each for each in rule_sets.of_container(failed) if each.name == "INPUT")
    assert (chain.policy, [each.verdict for each in chain.rules]) == ("accept", ["accept"])
    assert failed == []


def test_a_container_s_rules_have_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them are noted as not read."""
    monkeypatch.setattr(rule_sets, "LARGEST", 10)
    sh("iptables-nft -P INPUT DROP")
    failed: list[str] = []
    assert rule_sets.of_container(failed) == []
    assert failed == ["firewall rules: cannot read the rules: nf_tables has more than 0 MiB"]


def test_text_that_is_not_understood_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a diagnosis goes on without it."""

    def broken(text: str) -> iptables_save.CountedRuleset:
        raise ValueError("no such text")

    monkeypatch.setattr(iptables_save, "counted", broken)
    sh("iptables-nft -P INPUT DROP")
    failed: list[str] = []
    assert "iptables-nft" not in {each.tool for each in rule_sets.of_container(failed)}
    assert any("no such text" in each for each in failed)


def test_an_error_of_the_kernel_s_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that there are no filters."""

    def refused() -> bool:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(rule_sets, "_filters", refused)
    failed: list[str] = []
    assert rule_sets.of_container(failed) == []
    assert [each for each in failed if "not permitted" in each] == failed != []


def test_a_table_that_is_switched_off_drops_nothing() -> None:
    """No packet passes its chains (nft's `flags dormant`)."""
    sh("nft add table ip mine")
    sh("nft add chain ip mine input '{ type filter hook input priority 0; policy drop; }'")
    assert [each.name for each in rule_sets.of_container([])] == ["input"]
    sh("nft add table ip mine '{ flags dormant; }'")
    assert rule_sets.of_container([]) == []


@pytest.mark.parametrize(
    "statements",
    [
        [{"vmap": {"key": PORT, "data": "@large"}}],
        [{"vmap": {"key": STATE, "data": "@unread"}}],
        [{"match": {"op": "in", "left": STATE, "right": "@unread"}}, {"accept": None}],
    ],
)
def test_what_is_not_read_may_accept(statements: list[Any]) -> None:
    """A named set or map that is large, or that cannot be read."""
    (rule,) = from_nft(statements, lambda name: None)
    assert (rule.conditions, rule.verdict) == ((UNKNOWN,), "accept")


def test_values_that_are_compared_together_are_not_multiplied() -> None:
    """Three sets of pairs in one rule would make the cube of their size."""
    pair = {"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "oifname"}}]}
    pairs = [{"concat": [f"a{n}", f"b{n}"]} for n in range(100)]
    match = {"match": {"op": "==", "left": pair, "right": {"set": pairs}}}
    assert len(list(from_nft([match, {"accept": None}], lambda name: None))) == 100
    rules = list(from_nft([match, match, match, {"accept": None}], lambda name: None))
    assert {rule.conditions[-1] for rule in rules} == {UNKNOWN}
    assert len(rules) == 100
    verdicts = {"vmap": {"key": STATE, "data": {"set": [["new", {"drop": None}]] * 100}}}
    assert {rule.verdict for rule in from_nft([match, verdicts], lambda name: None)} == {"accept"}


def make(*commands: dict[str, Any]) -> None:
    """Write to nf_tables what nft's own language has no words for."""
    nft().run([{"add": each} for each in commands], "make it")


def test_a_name_is_no_command() -> None:
    """The kernel takes any name, and nft's language would have a further command in it."""
    name = "x; add table ip written"
    where = {"family": "ip", "table": "mine"}
    base = {"type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    match = {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": f"@{name}"}
    make(
        {"table": {"family": "ip", "name": "mine"}},
        *(
            {"set": {**where, "name": each, "type": "ifname", "elem": ["lo"]}}
            for each in ("x", name)
        ),
        {"map": {**where, "name": "x2", "type": "ifname", "map": "verdict"}},
        {"chain": {**where, "name": "c", **base}},
        {"rule": {**where, "chain": "c", "expr": [{"match": match}, {"drop": None}]}},
    )
    (chain,) = rule_sets.of_container([])
    assert chain.rules[0].conditions == (("iifname", ("lo",), False),)
    assert sh("nft list tables") == "table ip mine\n"


def test_a_table_s_name_is_no_command() -> None:
    """As a trace lists the tables that a packet has met."""
    name = "x; add table ip written"
    make({"table": {"family": "ip", "name": "x"}}, {"table": {"family": "ip", "name": name}})
    before = sh("nft list tables")
    hit = RuleHit(0, Netns("host", ""), "nft", "ip", name, "c", RuleKind.RULE, "accept")
    ruleset.listing(Netns("host", ""), [hit])
    assert sh("nft list tables") == before


def test_large_sets_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they let through is not known then."""
    sh("nft add table ip mine; nft add set ip mine s '{ type ifname; elements = { lo, eth0 }; }'")
    assert foreign_chains.elements("ip", "mine", "s") == ["lo", "eth0"]
    monkeypatch.setattr(foreign_chains, "LARGEST_SET", 10)
    assert foreign_chains.elements("ip", "mine", "s") is None


def test_a_named_set_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By each of the rules that name it; one of values that no rule is judged by, never."""
    read = []

    def counted(*where: str) -> list[Any]:
        read.append(where)
        return ["lo", "eth0"]

    monkeypatch.setattr(foreign_chains, "elements", counted)
    named = foreign_chains.NamedSets().of("ip", "mine")
    links, mark = ({"meta": {"key": key}} for key in ("iifname", "mark"))
    for left, name in ((links, "@s"), (links, "@s"), (mark, "@m")):
        list(from_nft([{"match": {"op": "==", "left": left, "right": name}}], named))
    assert read == [("ip", "mine", "s")]


def test_elements_that_are_held_against_rules_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of rules may each name a set of thousands."""
    read = []

    def counted(*where: str) -> list[Any]:
        read.append(where[-1])
        return ["lo"] * 40

    monkeypatch.setattr(foreign_chains, "elements", counted)
    monkeypatch.setattr(foreign_chains, "MOST_ELEMENTS", 100)
    named = foreign_chains.NamedSets().of("ip", "mine")
    assert [bool(named(name)) for name in "aabcd"] == [True, True, False, False, False]
    assert read == ["a", "b"]


def test_elements_in_a_rule_count_as_its_size() -> None:
    """nft lists them with the rule."""
    sh("nft add table ip mine; nft add chain ip mine c '{ type filter hook input priority 0; }'")
    numbers = ", ".join(map(str, range(1, 2000)))
    sh(f"nft add rule ip mine c tcp dport '{{ {numbers} }}' drop")
    tables = [("ip", "mine")]
    assert rule_set_size.exceeded(tables, 1 << 14)
    assert not rule_set_size.exceeded(tables, 1 << 18)


def test_the_size_of_rules_is_asked_before_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """libnftables would make text of all of them first."""

    def refused(command: object) -> list[Any]:
        raise AssertionError(f"{command} was asked")

    sh("nft add table ip mine; nft add chain ip mine c '{ type filter hook input priority 0; }'")
    sh("for n in 1 2 3 4 5 6 7 8; do nft add rule ip mine c tcp dport $n counter drop; done")
    assert len(rule_sets.chains([])[0].rules) == 8
    monkeypatch.setattr(rule_sets, "listed", refused)
    failed: list[str] = []
    assert rule_sets.chains(failed, most=1000) == []
    assert failed == ["firewall rules: cannot read the rules: nf_tables has more than 0 MiB"]


def test_rules_have_the_packets_of_their_counters() -> None:
    """Of both tools."""
    sh("iptables-nft -A OUTPUT -o lo -j ACCEPT; nft add table ip mine")
    sh("nft add chain ip mine c '{ type filter hook output priority 0; }'")
    sh("nft add rule ip mine c oifname lo counter accept; ping -c 2 -i 0.2 127.0.0.1")
    counted = {each.tool: each.rules[0].packets for each in rule_sets.chains([]) if each.rules}
    assert counted == {"iptables-nft": 4, "nft": 4}


@pytest.mark.parametrize(
    "spec",
    [
        "-i lo -j ACCEPT",
        '-m comment --comment "a, b -j DROP" -j ACCEPT',
        '-m comment --comment "" -j ACCEPT',
        "-m comment --comment it\\'s -j ACCEPT",
        '-m comment --comment "a\\"b \\\\" -i lo -j ACCEPT',
    ],
)
def test_words_of_a_rule_are_those_that_a_shell_has(spec: str) -> None:
    """A comment is one word, whatever stands in it."""
    found = from_iptables(spec, frozenset())
    assert found.verdict == "accept"
    assert [each.values for each in found.conditions] == ([("lo",)] if "-i lo" in spec else [])


@pytest.mark.parametrize("name", ['a"b', '"ab', 'a"', "a'b", "a\\"])
def test_a_link_s_name_has_no_quotation_marks(name: str) -> None:
    """iptables-save prints it as it is; it takes nothing of the rules behind it."""
    quoted = shlex.quote(name)
    sh(f"iptables-nft -A FORWARD -i {quoted} -j DROP")
    sh("iptables-nft -A FORWARD -m comment --comment 'two words' -j ACCEPT")
    failed: list[str] = []
    (chain,) = (each for each in rule_sets.chains(failed) if each.name == "FORWARD")
    assert [(each.verdict, each.conditions) for each in chain.rules] == [
        ("drop", (("iifname", (name,), False),)),
        ("accept", ()),
    ]
    assert failed == []


def test_a_thousand_odd_quotation_marks_are_read_in_one_pass() -> None:
    """Each is searched for its partner for so long, and not to the end of all."""
    lines = "".join(f'-A INPUT --x "{number}\n' for number in range(5000))
    text = f"*filter\n:INPUT ACCEPT [0:0]\n{lines}"
    (rules,) = (rules for _, rules in iptables_save.parse(text)["filter"].values())
    assert (len(rules), rules[-1]) == (5000, '--x "4999')


def test_a_quotation_mark_without_its_partner_is_a_word() -> None:
    """One odd rule does not keep all others from being read."""
    assert from_iptables('--comment "a -j ACCEPT', frozenset()).verdict == "accept"
    assert from_iptables("-i", frozenset()).verdict == ""
