"""The legacy tables: what this writer makes and what iptables-legacy makes are the same entries."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.kernel.netfilter.iptables_legacy import tables, writer
from plumb.kernel.netfilter.iptables_legacy.writer import Xtables
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.writer import Writer
from plumb.plan import Step
from plumb.things.iptables import Chain, Family, Policy, Position, Rule
from tests.kernel.netfilter.by_each import by_each
from tests.kernel.netfilter.test_iptables_nft import has_program, in_containers
from tests.labs import Lab, iptables, sh

V4, V6 = Family.V4, Family.V6
CHAIN = Chain(V4, "nat", "PLUMB")
PORT = Rule(
    V4, "nat", "PLUMB", "! -i br0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080"
)
OUTSIDE = "-p tcp -m multiport --dports 80,443 -j ACCEPT"
"""Words that are not in the vocabulary."""


def everything() -> Iterator[tuple[str, list[bytes]]]:
    """Every chain of every table, with its entries."""
    for family in Family:
        for name in ("filter", "mangle", "nat", "raw"):
            table = tables.opened(family, name)
            for chain in table.chains:
                yield (
                    f"{family} {name} {chain.name}",
                    list(tables.entries(family, table, chain.name)),
                )


def texts() -> list[str]:
    """What the user's tools print of the rules, without the time of day."""
    printed = sh("iptables-legacy-save -c; ip6tables-legacy-save -c")
    return [line for line in printed.splitlines() if not line.startswith("# ")]


def not_in_vocabulary(rule: Rule) -> Any:
    raise AssertionError(f"left to python-iptables: {rule}")


def test_the_kernel_has_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    """Every chain, rule and policy of every case, of both families."""
    steps = [Step(None, thing) for thing in in_containers(tmp_path)]
    makers: list[Writer] = [IptablesRestore("legacy-"), Xtables()]
    found = by_each(makers, steps, tmp_path, lambda: (list(everything()), texts()))

    assert sum(len(entries) for _, entries in found[0][0]) > 300
    assert found[0] == found[1]


def test_no_rule_of_a_case_is_left_to_python_iptables(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are written, read, put in order and deleted as bytes.

    But for those of encrypted networks: a program of BPF is xt_bpf's to translate.
    """
    things = [thing for thing in in_containers(tmp_path) if not has_program(thing)]
    gone = [Step(thing, None) for thing in reversed(things) if not isinstance(thing, Policy)]
    with monkeypatch.context() as patch:
        patch.setattr(writer, "translate", not_in_vocabulary)
        Xtables().take([Step(None, thing) for thing in things], [])
        assert Xtables().look(things) == things
        Xtables().take(gone, [])
    assert {now for now in Xtables().look(things) if not isinstance(now, Policy)} == {None}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("spec", ["-i br0 -o br1 -j ACCEPT", f"-i br0 {OUTSIDE}"])
def test_the_users_rule_of_a_link_is_the_same(lab: Lab, family: Family, spec: str) -> None:
    """What iptables-legacy wrote is found, and what was written its -D finds.

    A link's name counts to its last bit, in both families.
    """
    rule = Rule(family, "filter", "FORWARD", spec)
    sh(f"{family}-legacy -A FORWARD {spec}")
    assert Xtables().look([rule]) == [rule]
    Xtables().take([Step(rule, None)], [])
    assert Xtables().look([rule]) == [None]
    Xtables().take([Step(None, rule)], [])
    sh(f"{family}-legacy -D FORWARD {spec}")
    assert Xtables().look([rule]) == [None]


def test_an_extension_of_another_revision_is_left_to_python_iptables(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older kernel or an older library has another struct for it."""
    left: list[Rule] = []
    translate = writer.translate

    def translated(rule: Rule) -> Any:
        left.append(rule)
        return translate(rule)

    monkeypatch.setattr(writer, "has", lambda family, kind, extension: extension.name != "DNAT")
    monkeypatch.setattr(writer, "translate", translated)
    Xtables().take([Step(None, CHAIN), Step(None, PORT)], [])
    assert left == [PORT]
    assert Xtables().look([PORT]) == [PORT]


def test_rules_of_others_keep_their_counters(lab: Lab) -> None:
    """A table is put back whole, with what has been counted."""
    sh("iptables-legacy -t nat -A POSTROUTING -s 10.9.9.9 -c 17 1700 -j ACCEPT")
    Xtables().take([Step(None, CHAIN), Step(None, PORT)], [])
    Xtables().take([Step(PORT, None), Step(CHAIN, None)], [])
    assert "[17:1700] -A POSTROUTING -s 10.9.9.9/32 -j ACCEPT" in texts()


def test_a_concurrent_iptables_loses_nothing(lab: Lab) -> None:
    """Neither its rules nor plumb's: both hold the lock of xtables while they change a table."""
    script = "for n in $(seq 1 40); do iptables-legacy -w -A FORWARD -s 10.9.0.$n -j ACCEPT; done"
    others = subprocess.Popen(["sh", "-ec", script])
    mine: list[Rule] = []
    while others.poll() is None or len(mine) < 40:
        spec = f"-d 10.8.{len(mine) // 256}.{len(mine) % 256}/32 -j DROP"
        mine.append(Rule(V4, "filter", "FORWARD", spec, Position.HEAD))
        Xtables().take([Step(None, mine[-1])], [])
    assert others.returncode == 0
    assert Xtables().look(mine) == mine
    assert sh("iptables-legacy -S FORWARD").count("-s 10.9.0.") == 40


def test_a_table_is_read_and_put_back_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each operation, once on the host: the kernel copies all of its rules each time.

    A container's own table is put back twice, with few rules: its chains are made before, its rules
    behind its addresses.
    """
    touched: Counter[tuple[str, str, str]] = Counter()
    iptc, host = tables.library(), os.readlink("/proc/thread-self/ns/net")

    def count(what: str) -> None:
        original = getattr(iptc.Table, what)

        def counted(table: Any) -> None:
            place = os.readlink("/proc/thread-self/ns/net")
            touched[what, place, f"{type(table).__name__} {table.name}"] += 1
            original(table)

        monkeypatch.setattr(iptc.Table, what, counted)

    with iptables("legacy"), lab.host() as plumb:
        plumb.create_network("shop", ipv6=True)
        plumb.create_network("yard")
        plumb.run("keeper", network="shop", publish="80:80")
        count("refresh")
        count("commit")
        changes: tuple[Callable[[], object], ...] = (
            lambda: plumb.run("c", network="shop", publish=["8080-8089:80-89", "53:53/udp"]),
            lambda: plumb.connect("yard", "c"),
            lambda: plumb.disconnect("yard", "c"),
            lambda: plumb.remove("c", force=True),
        )
        for change in changes:
            touched.clear()
            change()
            own = {each: times for each, times in touched.items() if each[1] == host}
            assert {what for what, _, _ in own} == {"refresh", "commit"}
            assert set(own.values()) == {1}, own
            assert max(touched.values()) <= 2, touched
