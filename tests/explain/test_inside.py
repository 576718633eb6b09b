"""Chains in a container's namespace: those that filter, and that no engine has made for itself."""

from __future__ import annotations

import pytest

from plumb.engine.reader import Reader
from plumb.explain import inside
from plumb.explain.explain import Found
from plumb.explain.subject import Subject
from plumb.kernel.diagnosis import rule_sets
from plumb.model.diagnosis.snapshot import ChainState, RuleState
from tests import labs

DROP = RuleState("-j DROP", (), "drop")


def chain(
    table: str, name: str = "c", hook: str = "input", kind: str = "filter", tool: str = "nft"
) -> ChainState:
    """A chain with a rule that drops."""
    return ChainState(tool, "ip", table, name, (DROP,), hook, 0, "accept" if hook else "", kind)


def told(*chains: ChainState, made: tuple[tuple[str, str, str], ...] = ()) -> list[str]:
    """Names of what is explained."""
    return [each.name for each in inside.explained("web", chains, made, "")]


@pytest.mark.parametrize("table", ["plumb-services", "plumb-dns", "docker-bridges", "netavark"])
def test_tables_of_engines_are_no_firewall_of_the_container_s(table: str) -> None:
    assert told(chain(table)) == []


def test_chains_of_nat_filter_nothing() -> None:
    """Nor do those that only they jump to."""
    assert told(chain("t", kind="nat"), chain("t", "mine", "", "")) == []
    assert told(chain("t", kind="nat"), chain("t", "d"), chain("t", "mine", "", ""))


def test_a_rule_is_plumb_s_in_its_own_table_alone() -> None:
    """The same words in another table are somebody's."""
    filters = chain("filter", "INPUT", tool="iptables-nft")
    assert told(filters, made=(("filter", "INPUT", DROP.words),)) == []
    assert "-A INPUT -j DROP" in told(filters, made=(("mangle", "INPUT", DROP.words),))


def test_what_could_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is a container that ends meanwhile."""

    def gone(failed: list[str]) -> list[ChainState]:
        failed.append("firewall rules: not permitted")
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr(rule_sets, "of_container", gone)
    with labs.lab() as lab:
        with lab.host() as host:
            host.run("web")
        with Reader(lab.root, settings={}) as reader:
            found = inside.find(reader, Subject.parse(("web/INPUT",)), Found())
    reasons = [each.reason.why for each in found.exact]
    assert "firewall rules: not permitted" in reasons
    assert any("gone" in each for each in reasons)
