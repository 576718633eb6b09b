"""Rules by nfnetlink: what this writer makes and what iptables-nft makes are the same bytes."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from plumb import StepFailed
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.iptables_nft import tables, writer
from plumb.kernel.netfilter.iptables_nft.encode import encode
from plumb.kernel.netfilter.iptables_nft.tables import FAMILY, Listing
from plumb.kernel.netfilter.iptables_nft.writer import IptablesNft
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary, uncounted
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETCHAIN,
    NFT_MSG_GETRULE,
    NFT_MSG_GETTABLE,
)
from plumb.kernel.writer import Writer
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Policy, Position, Rule
from tests.kernel.netfilter.by_each import by_each
from tests.kernel.netfilter.test_backends import everything
from tests.labs import Lab, sh

V4, V6 = Family.V4, Family.V6
EXPOSED = Rule(V4, "filter", "PLUMB", "-d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT")
CHAIN = Chain(V4, "filter", "PLUMB")


def by_nfnetlink() -> IptablesNft:
    return IptablesNft(IptablesRestore("nft-"))


class NoProcess(IptablesRestore):
    """iptables-restore, where nothing should be left to it."""

    def take(self, steps: Sequence[Step], done: list[Step]) -> None:
        raise AssertionError(f"left to iptables-restore: {', '.join(map(str, steps))}")

    def look(self, things: Sequence[Thing]) -> list[Thing | None]:
        raise AssertionError(f"left to iptables-save: {', '.join(map(str, things))}")

    def order(self, rules: Sequence[Thing]) -> list[Thing]:
        raise AssertionError(f"left to iptables-save: {', '.join(map(str, rules))}")


@pytest.fixture
def alone(lab: Lab) -> IptablesNft:
    """A writer that starts no process."""
    return IptablesNft(NoProcess("nft-"))


def raw() -> Iterator[tuple[int, bytes]]:
    """All messages of a dump of tables, chains and rules, with their handles, counters at zero."""
    with Netfilter() as netfilter:
        for family in FAMILY.values():
            for kind in (NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE):
                body = NFGENMSG.pack(family, 0, 0)
                for message in netfilter.dump(NFNL_SUBSYS_NFTABLES << 8 | kind, body):
                    yield kind, uncounted(message[NFGENMSG.size :])


def texts() -> list[str]:
    """What the user's tools print of the rules, without the time of day."""
    printed = sh("iptables-nft-save -c; ip6tables-nft-save -c; nft -s list ruleset")
    return [line for line in printed.splitlines() if not line.startswith("# ")]


def in_containers(tmp_path: Path) -> list[Thing]:
    """Chains and rules of every case, those of containers too, as if all were on the host."""
    host = everything(tmp_path)
    dns: list[Thing] = [
        Chain(V4, "nat", "PLUMB_OUTPUT"),
        Rule(V4, "nat", "OUTPUT", "-d 127.0.0.11/32 -j PLUMB_OUTPUT", Position.HEAD),
        Rule(
            V4,
            "nat",
            "PLUMB_OUTPUT",
            "-d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40001",
        ),
        Chain(V4, "nat", "PLUMB_POSTROUTING"),
        Rule(
            V4,
            "nat",
            "PLUMB_POSTROUTING",
            "-s 127.0.0.11/32 -p udp -m udp --sport 40001 -j SNAT --to-source :53",
        ),
    ]
    return [*host, *dns]


def has_program(thing: Thing) -> bool:
    """Tell of a rule that matches by a program of BPF."""
    return isinstance(thing, Rule) and "--bytecode" in thing.spec


def by_table(thing: Thing) -> tuple[int, str]:
    """Key for the order in which iptables-restore makes tables: handles count them."""
    assert isinstance(thing, Chain | Rule | Policy)
    return list(Family).index(thing.family), thing.table


def test_the_kernel_has_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    """Every table, chain, rule and policy of every case, with its handle."""
    steps = [Step(None, thing) for thing in sorted(in_containers(tmp_path), key=by_table)]
    makers: list[Writer] = [IptablesRestore("nft-"), by_nfnetlink()]
    found = by_each(makers, steps, tmp_path, lambda: (list(raw()), texts()))

    assert len(found[0][0]) > 300
    assert found[0] == found[1]


def test_no_rule_of_a_case_needs_a_process(alone: IptablesNft, tmp_path: Path) -> None:
    """All are written, read, put in order and deleted by nfnetlink.

    But for those of encrypted networks: a program of BPF is xt_bpf's to translate.
    """
    things = [thing for thing in in_containers(tmp_path) if not has_program(thing)]
    alone.take([Step(None, thing) for thing in things], [])
    assert alone.look(things) == things
    gone = [Step(thing, None) for thing in reversed(things) if not isinstance(thing, Policy)]
    alone.take(gone, [])
    assert {now for now in alone.look(things) if not isinstance(now, Policy)} == {None}


def test_the_users_own_iptables_deletes_a_rule(alone: IptablesNft) -> None:
    """By the words that iptables -S prints."""
    alone.take([Step(None, CHAIN), Step(None, EXPOSED)], [])
    assert sh("iptables-nft -S PLUMB").splitlines()[-1] == str(EXPOSED)
    sh(f"iptables-nft -D PLUMB {EXPOSED.spec}")
    assert alone.look([CHAIN, EXPOSED]) == [CHAIN, None]


def test_counted_packets_do_not_hide_a_rule(alone: IptablesNft) -> None:
    """A rule is known by its expressions, whatever its counter says."""
    rule = Rule(V4, "filter", "OUTPUT", "-d 127.0.0.1/32 -o lo -j ACCEPT")
    alone.take([Step(None, rule)], [])
    sh("ping -qc1 -W10 127.0.0.1")
    assert "[0:0] -A OUTPUT" not in sh("iptables-nft-save -c")
    assert alone.look([rule]) == [rule]
    alone.take([Step(rule, None)], [])
    assert alone.look([rule]) == [None]


def test_two_equal_rules_are_two(alone: IptablesNft) -> None:
    """As with iptables -D, deleting takes the first of them."""
    alone.take([Step(None, CHAIN), Step(None, EXPOSED), Step(None, EXPOSED)], [])
    alone.take([Step(EXPOSED, None)], [])
    assert alone.look([EXPOSED]) == [EXPOSED]
    alone.take([Step(EXPOSED, None), Step(CHAIN, None)], [])
    assert alone.look([CHAIN, EXPOSED]) == [None, None]


def test_a_word_of_others_is_left_to_iptables(lab: Lab) -> None:
    """A limit is none of plumb's words; the rule is written and read all the same."""
    rule = Rule(V4, "filter", "FORWARD", "-m limit --limit 5/min -j ACCEPT")
    with pytest.raises(NotInVocabulary):
        encode(rule)
    done: list[Step] = []
    by_nfnetlink().take([Step(None, CHAIN), Step(None, EXPOSED), Step(None, rule)], done)
    assert len(done) == 3
    assert by_nfnetlink().look([rule, EXPOSED]) == [rule, EXPOSED]
    assert by_nfnetlink().order([rule]) == [rule]


def test_a_rule_in_other_expressions_is_found_by_its_words(lab: Lab) -> None:
    """Another version of iptables may write the same words as other expressions."""
    sh("iptables-nft -N PLUMB")
    matches = "ip daddr 10.0.0.2 meta l4proto tcp tcp dport 80"
    sh(f"nft 'add rule ip filter PLUMB {matches} counter accept'")
    assert sh("iptables-nft -S PLUMB").splitlines()[-1] == str(EXPOSED)
    assert by_nfnetlink().look([EXPOSED]) == [EXPOSED]
    by_nfnetlink().take([Step(EXPOSED, None)], [])
    assert by_nfnetlink().look([EXPOSED]) == [None]


def test_a_refusal_is_told_in_iptables_words(lab: Lab) -> None:
    """A transaction that is refused has changed nothing, and iptables-restore says why."""
    by_nfnetlink().take([Step(None, CHAIN)], [])
    with pytest.raises(StepFailed, match="Chain already exists"):
        by_nfnetlink().take([Step(None, EXPOSED), Step(None, CHAIN)], [])
    assert by_nfnetlink().look([EXPOSED]) == [None]


def test_somebody_else_writes_meanwhile(
    alone: IptablesNft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is composed anew against the new rules, and is taken."""
    alone.take([Step(None, CHAIN), Step(None, EXPOSED)], [])
    compositions = []

    class Disturbed(Listing):
        def generation(self) -> int:
            found = super().generation()
            compositions.append(found)
            if len(compositions) < 3:
                sh(f"iptables-nft -D PLUMB {EXPOSED.spec}; iptables-nft -A PLUMB {EXPOSED.spec}")
            return found

    monkeypatch.setattr(writer, "Listing", Disturbed)
    alone.take([Step(EXPOSED, None)], [])
    assert len(compositions) == 3
    assert alone.look([EXPOSED]) == [None]


def test_a_policy_stays_when_a_rule_comes(alone: IptablesNft) -> None:
    """A built-in chain that is there already keeps what the user has set."""
    sh("iptables-nft -P FORWARD DROP")
    alone.take([Step(None, Rule(V4, "filter", "FORWARD", "-i br0 -j ACCEPT"))], [])
    assert sh("iptables-nft -S FORWARD").splitlines()[0] == "-P FORWARD DROP"


def test_thousands_of_rules_are_one_transaction(alone: IptablesNft) -> None:
    """More than a socket's buffer holds by default, and as many answers if each had one."""
    spec = "-d 10.0.0.2/32 -p tcp -m tcp --dport {} -j ACCEPT"
    rules = [Rule(V4, "filter", "PLUMB", spec.format(port)) for port in range(1, 4001)]
    alone.take([Step(None, CHAIN), *(Step(None, rule) for rule in rules)], [])
    assert alone.order(rules) == rules
    with Netfilter() as netfilter, pytest.raises(OSError, match=r".") as refused:
        netfilter.transact([tables.new_rule(rules[0]), tables.new_chain(CHAIN)])
    assert refused.value.errno == errno.EEXIST


def test_an_older_iptables_gets_rules_that_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.8.9 it does not list ports in nf_tables' own expressions: it writes them itself."""
    monkeypatch.setenv("PLUMB_IPTABLES", "nf_tables")
    backends.writer.cache_clear()
    try:
        assert isinstance(backends.writer(), IptablesNft)
        backends.writer.cache_clear()
        monkeypatch.setattr(IptablesRestore, "version", lambda restore: (1, 8, 7))
        assert isinstance(backends.writer(), IptablesRestore)
    finally:
        backends.writer.cache_clear()
