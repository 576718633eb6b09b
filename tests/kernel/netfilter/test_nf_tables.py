"""nftables by nfnetlink: what is written without libnftables and with it are the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from plumb.kernel.netfilter.nf_tables import dump, handles, transaction
from plumb.kernel.netfilter.nf_tables.encode import NFPROTO, encode
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary, uncounted
from plumb.kernel.netfilter.nftables import Nftables
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETCHAIN,
    NFT_MSG_GETRULE,
    NFT_MSG_GETTABLE,
)
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.things import Thing
from plumb.things.nftables import NftChain, NftRule, NftTable
from tests.kernel.netfilter.nft_rules import TABLE, V4, WALL, add, hole, remove, rule
from tests.kernel.netfilter.test_nftables import everything, left_to_libnftables
from tests.labs import Lab, sh

BASE: list[Thing] = [NftTable(V4, TABLE), NftChain(V4, TABLE, "in")]


def specs() -> list[str]:
    """The rules of the chain `in`, as nft prints them."""
    lines = sh(f"nft -s list chain ip {TABLE} in").splitlines()
    return [line.strip() for line in lines if line.startswith("\t\t")]


def raw() -> Iterator[bytes]:
    """All messages of a dump of tables, chains and rules, with their handles, counters at zero."""
    with Netfilter() as netfilter:
        for family in NFPROTO.values():
            for kind in (NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE):
                body = NFGENMSG.pack(family, 0, 0)
                for message in netfilter.dump(NFNL_SUBSYS_NFTABLES << 8 | kind, body):
                    yield uncounted(message[NFGENMSG.size :])


def encodable(things: Sequence[Thing]) -> list[NftRule]:
    """The rules among things that need no libnftables."""
    found = []
    for thing in things:
        if isinstance(thing, NftRule):
            try:
                encode(thing)
            except NotInVocabulary:
                continue
            found.append(thing)
    return found


def in_containers() -> list[Thing]:
    """The embedded DNS server's table, as if it were on the host."""
    return [
        NftTable(V4, "plumb-dns"),
        NftChain(V4, "plumb-dns", "output", "nat", "output", -100, "accept"),
        NftChain(V4, "plumb-dns", "postrouting", "nat", "postrouting", 100, "accept"),
        NftRule(
            V4,
            "plumb-dns",
            "output",
            "ip daddr 127.0.0.11 udp dport 53 counter dnat to 127.0.0.11:40001",
        ),
        NftRule(
            V4,
            "plumb-dns",
            "postrouting",
            "ip saddr 127.0.0.11 udp sport 40001 counter snat to :53",
        ),
    ]


def test_the_kernel_has_the_same_bytes(lab: Lab, tmp_path: Path) -> None:
    """Each rule of each case that nfnetlink is told, and tables and chains of a container."""
    things = everything(tmp_path)
    rules = encodable(things)
    rest = [thing for thing in things if thing not in rules]
    found = []
    for number in range(2):
        place = f"{tmp_path}/netns{number}"
        namespaces.make(place)
        try:
            with entered(place), pytest.MonkeyPatch.context() as patch:
                Nftables().take(add(*rest), [])
                if number:
                    patch.setattr(transaction, "transact", left_to_libnftables)
                    Nftables().take(add(*in_containers(), *rules), [])
                else:
                    transaction.transact(add(*in_containers(), *rules))
                found.append((list(raw()), sh("nft -a list ruleset")))
        finally:
            namespaces.drop(place)

    assert len(rules) > 250
    assert found[0] == found[1]


def test_published_ports_need_no_libnftables(tmp_path: Path) -> None:
    """Nor does anything else that comes with a container, but a set of trusted links."""
    things = everything(tmp_path)
    rules = [thing for thing in things if isinstance(thing, NftRule) and thing.table == TABLE]
    left = {each.spec for each in rules if each not in encodable(rules)}
    kinds = ("iifname {", "iifname != {", "vmap @", "meta ")

    assert [spec for spec in left if not any(kind in spec for kind in kinds)] == []


@pytest.mark.parametrize(
    "spec",
    [
        "counter accept counter",
        "accept counter",
        "tcp dport 80 tcp sport 90 accept",
        "ip6 daddr ::1 accept",
        "ip daddr 0.0.0.0/0 accept",
        "tcp dport 80-90 accept",
        "tcp dport 70000 accept",
        "iifname br0 accept",
        'iifname "br*" accept',
        'iifname "0123456789abcdef" accept',
        "dnat to [fd00::2]:80",
        "ct state new counter accept",
        "jump",
        'counter accept comment "a" comment "b"',
    ],
)
def test_other_words_are_left_to_libnftables(spec: str) -> None:
    """What nft would write in another way than word for word, or would refuse."""
    with pytest.raises(NotInVocabulary):
        encode(rule(spec))


def test_counted_packets_do_not_hide_a_rule(lab: Lab) -> None:
    """A rule is known by its expressions and its comment, whatever its counter says."""
    loopback = 'ip daddr 127.0.0.1 counter accept comment "ONE"'
    out = NftChain(V4, TABLE, "out", "filter", "output", 0, "accept")
    rules = [
        NftRule(V4, TABLE, "out", spec)
        for spec in ("counter accept", loopback.replace("ONE", "TWO"), loopback)
    ]
    transaction.transact(add(BASE[0], out, *rules[1:], rules[0]))
    sh("ping -qc1 -W10 127.0.0.1")
    assert 'packets 0 bytes 0 accept comment "TWO"' not in sh("nft list ruleset")
    transaction.transact(remove(rules[1]))
    listed = sh("nft -s list ruleset")

    assert loopback in listed
    assert "TWO" not in listed


@pytest.mark.parametrize("count", [3, 3 * dump.FEW])
def test_many_rules_are_found_as_few_are(lab: Lab, count: int) -> None:
    """In one transaction, from the last to the first; of two equal rules one each time."""
    rules = [hole(80 + number // 2) for number in range(count)]
    transaction.transact(add(*BASE, rule(WALL)))
    for each in rules:
        transaction.transact(add(each))
    transaction.transact(remove(*reversed(rules)))

    assert specs() == [WALL]


def replaced() -> None:
    """Another rule of the same words in the wall's place."""
    transaction.transact(remove(rule(WALL)))
    transaction.transact(add(rule(WALL), rule("counter accept")))


def another_table() -> None:
    """A table of the same name, where the wall's former handle is another rule's."""
    transaction.transact(remove(BASE[0]))
    transaction.transact(add(*BASE, rule("ct state established,related counter accept")))
    transaction.transact(add(rule("counter accept")))
    transaction.transact(add(rule(WALL)))


@pytest.mark.parametrize("change", [replaced, another_table])
def test_a_handle_that_is_known_is_the_same_rules(lab: Lab, change: Callable[[], None]) -> None:
    """A port goes right before the wall, whoever has made another one meanwhile."""
    transaction.transact(add(*BASE, rule(WALL)))
    transaction.transact(add(hole(80)))
    change()
    transaction.transact(add(hole(81)))

    assert specs()[specs().index(hole(81).spec) + 1] == WALL


def test_one_more_port_reads_no_chain(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall's handle is known from the port before; the wall keeps it."""
    transaction.transact(add(*BASE, rule(WALL)))
    transaction.transact(add(hole(80)))
    before = re.findall(r"DROP\" # handle \d+", sh("nft -a list ruleset"))

    def read(*_: object) -> list[bytes]:
        raise AssertionError("a chain is dumped")

    monkeypatch.setattr(transaction, "dump_rules", read)
    transaction.transact(add(hole(81)))
    assert specs() == [hole(80).spec, hole(81).spec, WALL]
    assert re.findall(r"DROP\" # handle \d+", sh("nft -a list ruleset")) == before != []


def test_without_cookies_each_port_reads_the_chain(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel before 5.14 does not tell one namespace from a later one with its number."""
    monkeypatch.setattr(handles, "SO_NETNS_COOKIE", 9999)
    transaction.transact(add(*BASE, rule(WALL)))
    for port in (80, 81):
        transaction.transact(add(hole(port)))

    assert specs() == [hole(80).spec, hole(81).spec, WALL]
