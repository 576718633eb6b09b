"""nftables of plumb's own.

Every rule that a driver can ask for goes to the kernel and comes back, in nft's very words.

What the packets do is told by test_cut.py, on this back end as on iptables.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from plumb import Host, StepFailed, Unsupported
from plumb.engine.rule_order import chains
from plumb.errors import KernelRefused
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.netfilter import libnftables
from plumb.kernel.netfilter.libnftables import Nft
from plumb.kernel.netfilter.nf_tables import transaction
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary
from plumb.kernel.netfilter.nft_expressions import comparable, translate
from plumb.kernel.netfilter.nftables import Nftables
from plumb.kernel.netns.namespaces import entered
from plumb.plan import Step, in_order, plan
from plumb.things import Key, Thing
from plumb.things.iptables import Position, ordered_rules
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable
from tests.cases import CASES
from tests.kernel.netfilter.nft_rules import TABLE, V4, V6, WALL, add, hole, remove, rule
from tests.labs import Lab, sh, within

BASE: list[Thing] = [
    NftTable(V4, TABLE),
    NftTable(V6, TABLE),
    NftMap(V4, TABLE, "jumps"),
    NftChain(V4, TABLE, "in"),
]


@pytest.fixture(params=["nfnetlink", "libnftables"])
def writer(lab: Lab, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Nftables:
    """The writer, in a namespace of its own; once with all left to libnftables."""
    if request.param == "libnftables":
        monkeypatch.setattr(transaction, "transact", left_to_libnftables)
    return Nftables()


def left_to_libnftables(steps: Sequence[Step]) -> None:
    """What nfnetlink is not told."""
    raise NotInVocabulary(str(steps))


def specs(chain: str, family: str = "ip") -> list[str]:
    """The rules of a chain, as nft prints them."""
    lines = sh(f"nft -s list chain {family} {TABLE} {chain}").splitlines()
    return [line.strip() for line in lines if line.startswith("\t\t") and " hook " not in line]


# -- every rule ---------------------------------------------------------------


def everything(tmp_path: Path) -> list[Thing]:
    """Every thing of every case on this back end."""
    found: dict[Key, Thing] = {}
    for name, case in CASES.items():
        if case.settings.get("firewall-backend") == "nftables":
            kernel = MemoryKernel()
            with (
                Host(tmp_path / name, settings=case.settings, kernel=kernel) as host,
                host.operation() as verbs,
            ):
                case.build(verbs)
            kinds = NftTable | NftMap | NftChain | NftElement | NftRule
            found.update(
                (thing.key, thing)
                for thing in kernel.things.values()
                if isinstance(thing, kinds) and not thing.where
            )
    return in_order(found.values())


def test_every_rule_comes_back_and_goes(writer: Nftables, tmp_path: Path) -> None:
    """What was written is found again and listed by nft, word for word, in its order.

    And it can be taken away one by one.
    """
    things = everything(tmp_path)
    done: list[Step] = []
    writer.take(add(*things), done)
    listed = sh("nft -s list ruleset").splitlines()

    assert len(done) == len(things) > 300
    assert [
        thing for thing, now in zip(things, writer.look(things), strict=True) if now != thing
    ] == []
    assert [
        thing.spec
        for thing in things
        if isinstance(thing, NftRule) and f"\t\t{thing.spec}" not in listed
    ] == []
    for rules in chains(things):
        assert writer.order(rules) == ordered_rules(rules)

    writer.take(remove(*reversed(things)), [])
    assert [now for now in writer.look(things) if now is not None] == []
    assert sh("nft list ruleset") == ""


def test_all_goes_with_the_table(writer: Nftables, tmp_path: Path) -> None:
    """The plan that takes everything away has a step for each table."""
    things = everything(tmp_path)
    writer.take(add(*things), [])
    steps = plan(things, [])

    assert [str(step) for step in steps] == [
        "remove nft table ip plumb-overlay",
        "remove nft table ip6 plumb-bridges",
        "remove nft table ip plumb-bridges",
    ]
    writer.take(steps, [])
    assert sh("nft list ruleset") == ""


# -- transactions ---------------------------------------------------------------


def test_all_steps_or_none(writer: Nftables) -> None:
    """One step that is refused leaves both families as they were, and the error names it."""
    bad = rule("counter jump nowhere")
    done: list[Step] = []
    with pytest.raises(StepFailed, match="No such file or directory") as caught:
        writer.take(add(*BASE, rule("counter accept"), bad, rule("counter drop")), done)

    assert caught.value.step == Step(None, bad)
    assert done == caught.value.done == []
    assert sh("nft list ruleset") == ""


@pytest.mark.parametrize(
    "thing", [BASE[0], BASE[2], BASE[3], NftElement(V4, TABLE, "jumps", "br0", "in")], ids=str
)
def test_what_is_there_already_is_an_error(writer: Nftables, thing: Thing) -> None:
    """A table, map, chain or element of that name that somebody else made is never adopted."""
    writer.take(add(*BASE, NftElement(V4, TABLE, "jumps", "br0", "in")), [])
    with pytest.raises(StepFailed, match="File exists") as caught:
        writer.take(add(rule("counter accept"), thing), [])

    assert caught.value.step == Step(None, thing)
    assert writer.look([rule("counter accept")]) == [None]


def test_what_is_gone_already_counts_as_removed(writer: Nftables) -> None:
    """Removing what somebody else has removed is no error, and the rest is removed all the same."""
    element, there = NftElement(V4, TABLE, "jumps", "br0", "in"), rule("counter accept")
    writer.take(add(*BASE, there), [])
    done: list[Step] = []
    writer.take(remove(element, hole(80), NftChain(V4, TABLE, "other"), there), done)

    assert len(done) == 4
    assert specs("in") == []
    sh("nft flush ruleset")
    writer.take(remove(there, *reversed(BASE)), done)
    assert len(done) == 9


def test_tables_of_others_are_never_touched(writer: Nftables) -> None:
    """Whatever else nft or iptables have stays as it is."""
    sh(
        "nft add table inet own; nft add chain inet own plumb; "
        "nft add rule inet own plumb counter drop; iptables-nft -A FORWARD -j DROP"
    )
    before = sh("nft -s list ruleset")
    writer.take(add(*BASE, rule(WALL), hole(80)), [])
    writer.take(remove(hole(80), *reversed(BASE)), [])

    assert sh("nft -s list ruleset") == before


# -- places ---------------------------------------------------------------


def test_head_and_tail(writer: Nftables) -> None:
    """The head is before, the tail behind what is there."""
    rules = [
        rule("counter accept"),
        rule("ct state established,related counter accept", Position.HEAD),
        rule(WALL),
    ]
    writer.take(add(*BASE, *rules), [])

    assert specs("in") == [rules[1].spec, rules[0].spec, WALL]


@pytest.mark.parametrize("together", [True, False])
def test_a_hole_is_before_the_wall(writer: Nftables, together: bool) -> None:
    """Published ports stand right before the wall, in the order in which they came, made with it or
    later."""
    rules = [
        rule("ct state established,related counter accept"),
        rule(WALL),
        hole(80),
        hole(81),
        hole(82),
    ]
    for steps in (
        [add(*BASE, *rules)]
        if together
        else [add(*BASE, *rules[:2]), add(rules[2]), add(*rules[3:])]
    ):
        writer.take(steps, [])

    assert (
        specs("in")
        == [each.spec for each in ordered_rules(rules)]
        == [rules[0].spec, *(each.spec for each in rules[2:]), WALL]
    )
    assert writer.order(rules) == ordered_rules(rules)


def test_without_the_wall_a_hole_goes_to_the_tail(writer: Nftables) -> None:
    """And the wall, when it comes back, behind it."""
    writer.take(add(*BASE, rule("ct state established,related counter accept"), rule(WALL)), [])
    writer.take(remove(rule(WALL)), [])
    writer.take(add(hole(80)), [])
    writer.take(add(rule(WALL)), [])

    assert specs("in")[1:] == [hole(80).spec, WALL]


def test_a_chain_written_anew_in_one_transaction(writer: Nftables) -> None:
    """What is deleted in a transaction is no place for what is added in it."""
    rules = [rule("counter accept"), rule(WALL), hole(80), hole(81)]
    writer.take(add(*BASE, *rules), [])
    writer.take([*remove(*rules), *add(*rules)], [])

    assert specs("in") == [each.spec for each in ordered_rules(rules)]
    writer.take([*remove(*rules), *add(*rules), *remove(rules[1])], [])
    assert specs("in") == [rules[0].spec, rules[2].spec, rules[3].spec]


def test_publishing_touches_nobody_elses_rules(writer: Nftables) -> None:
    """The rules that are there keep their handles and their counts.

    By libnftables the wall steps back and takes its count along.
    """
    writer.take(add(*BASE, rule("counter accept"), rule(WALL), hole(80)), [])
    handles = sh(f"nft -a list chain ip {TABLE} in")
    wall = re.search(r"counter packets 0 bytes 0 drop .* # handle (\d+)", handles)
    assert wall is not None
    sh(
        f"nft replace rule ip {TABLE} in handle {wall[1]} 'counter packets 7 bytes 420 drop "
        'comment "UNPUBLISHED PORT DROP"\''
    )
    writer.take(add(hole(81)), [])
    now = sh(f"nft -a list chain ip {TABLE} in")

    assert [line for line in handles.splitlines() if line not in now and "handle" in line] == [
        f'\t\tcounter packets 0 bytes 0 drop comment "UNPUBLISHED PORT DROP" # handle {wall[1]}'
    ]
    assert 'counter packets 7 bytes 420 drop comment "UNPUBLISHED PORT DROP"' in now
    writer.take(remove(hole(81)), [])
    assert writer.order([hole(80), hole(81)]) == [hole(80)]


# -- words ---------------------------------------------------------------


def test_a_rule_is_found_by_what_it_means(writer: Nftables) -> None:
    """However this version of nft spells it.

    Here it prints the elements of a set in another order, and less of the prefix.
    """
    spelled = rule('ip daddr 10.1.0.0/16 iifname != { "br0", "a" } counter drop')
    writer.take(add(*BASE, rule("counter accept"), spelled), [])

    assert spelled.spec not in specs("in")
    assert writer.look([spelled]) == [spelled]
    assert writer.order([spelled]) == [spelled]
    writer.take(remove(spelled), [])
    assert specs("in") == ["counter accept"]


@pytest.mark.parametrize(
    "spec",
    [
        "counter accept; flush ruleset",
        "meta nfproto ipv4 accept",
        'iifname "a" b" accept',
        "jump in accept please",
        'iifname "br0\n" accept',
        "tcp dport 80-90 accept",
        'counter accept comment "a" comment "b"',
        "dnat to :80",
    ],
)
def test_the_vocabulary_is_closed(spec: str) -> None:
    """A word that no driver uses is an error before anything reaches the kernel."""
    with pytest.raises(ValueError, match="is not in the vocabulary"):
        translate(spec)


def test_two_rules_that_differ_in_one_word_are_told_apart() -> None:
    """The comment is part of the rule, what it has counted is not."""
    one = comparable(translate('iifname "br0" counter accept comment "ICC"'))

    assert one != comparable(translate('iifname "br0" counter drop comment "ICC"'))
    assert one != comparable(translate('iifname != "br0" counter accept comment "ICC"'))
    assert one != comparable(translate('iifname "br0" counter accept'))
    counted = translate('iifname "br0" counter accept comment "ICC"')
    counted["expr"][1] = {"counter": {"packets": 3, "bytes": 99}}
    assert one == comparable(counted)


# -- the library ---------------------------------------------------------------


def test_without_libnftables_a_sentence_says_what_to_do() -> None:
    """It is a library of its own on Debian, without the nft command."""
    with pytest.raises(Unsupported, match="libnftables is not installed") as caught:
        Nft("libnothing.so.1")
    assert "apt install libnftables1" in caught.value.hint


def test_without_json_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library can be built without it; it prints no JSON then."""
    monkeypatch.setattr(Nft, "run", lambda *_: "table ip filter\n")
    with pytest.raises(Unsupported, match="built without JSON"):
        Nft()


def test_it_follows_the_thread_from_namespace_to_namespace(lan: Lab) -> None:
    """A netlink socket belongs to where it was made; the writer does not."""
    writer = Nftables()
    writer.take(add(NftTable(V4, "here")), [])
    with entered(lan.lan):
        writer.take(add(NftTable(V4, "there")), [])
    writer.take(add(NftTable(V6, "here")), [])

    assert sh("nft list tables").split() == ["table", "ip", "here", "table", "ip6", "here"]
    assert within(lan.lan, "nft list tables").split() == ["table", "ip", "there"]


def test_a_fork_has_a_socket_of_its_own(writer: Nftables) -> None:
    """Two processes that read from one socket would take each other's answers."""
    writer.take(add(*BASE), [])
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for turn in range(20):
                    writer.take(add(NftChain(V4, TABLE, f"c{number}-{turn}")), [])
                status = 0
            finally:
                os._exit(status)
        children.append(child)

    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [
        0,
        0,
        0,
        0,
    ]
    assert sh(f"nft list table ip {TABLE}").count("chain c") == 80


def test_no_command_inherits_its_socket(writer: Nftables) -> None:
    """A command that lasts would keep the namespace from ending."""
    writer.take(add(*BASE), [])
    ran = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False
    )

    assert "socket:" not in ran.stdout


def test_who_is_not_root_is_told(lab: Lab) -> None:
    """The kernel's refusal comes with its errno, so with the advice that belongs to it."""
    refused = libnftables.refusal(
        "write nftables",
        "internal:0:0-0: Error: Could not process rule: Operation not permitted\n\n",
    )

    assert isinstance(refused, KernelRefused)
    assert str(refused) == "cannot write nftables: Operation not permitted (EPERM)"
    assert "root" in refused.hint
