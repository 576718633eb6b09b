"""Rules that somebody in a container has written: whatever their text is, it stays text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plumb.kernel.diagnosis import rule_sets
from plumb.kernel.netfilter import iptables_save
from plumb.kernel.netfilter.foreign_rules import UNKNOWN, from_nft
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
    assert any("iptables-nft-save: more than" in each for each in failed)


def test_text_that_is_not_understood_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a diagnosis goes on without it."""

    def broken(text: str) -> iptables_save.Ruleset:
        raise ValueError("no such text")

    monkeypatch.setattr(iptables_save, "parse", broken)
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
