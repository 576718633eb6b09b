"""A subject is looked for in the record's texts: nothing that it means may be missed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plumb import Host
from plumb.engine.reader import Reader
from plumb.explain.explain import MOST_OWNERS, Record
from plumb.explain.subject import Subject, words_of
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.store import codec
from plumb.store.sqlite import SqliteStore
from plumb.things import Thing
from plumb.things.iptables import Rule
from plumb.things.nftables import NftRule
from tests.cases import CASES
from tests.labs import Lab


def things(path: Path, settings: dict[str, object]) -> dict[str, Thing]:
    """Every thing of every case, by its text."""
    found: dict[str, Thing] = {}
    for name, case in CASES.items():
        kernel, system = MemoryKernel(), System(kind_of={"eth0": "veth"}.get)
        chosen = {**case.settings, **settings}
        with (
            Host(path / name, settings=chosen, kernel=kernel, system=system) as host,
            host.operation() as verbs,
        ):
            case.build(verbs)
        found.update((str(thing), thing) for thing in kernel.things.values())
    return found


@pytest.mark.parametrize("settings", [{}, {"firewall-backend": "nftables"}], ids=str)
def test_the_record_has_the_words_of_every_thing(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    """Of whatever names it, and of each word and each part of what it says."""
    found = things(tmp_path, settings)
    assert len(found) > 1000
    for said, thing in found.items():
        own = thing.spec if isinstance(thing, Rule | NftRule) else said
        parts = re.split(r"[\s/]+", own)
        for text in {*words_of(thing), own, *parts, " ".join(parts[1:3])} - {""}:
            subject = Subject(text)
            assert subject.is_(thing) or subject.is_in(thing) or text not in words_of(thing)
            lacking = [word for word in subject.recorded if word not in codec.dumps(thing)]
            assert not lacking, (text, thing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web", ("web",)),
        ("172.30.0.2", ("172.30.0.2",)),
        ("172.30.0.0/16", ()),
        ("default", ()),
        ("127.0.0.11", ()),
        ("net.ipv4.ip_forward", ("net", "ipv4", "ip_forward")),
        ("-o br-1a2b -j PLUMB", ("o", "br", "1a2b", "j", "PLUMB")),
        ("fd00:30::2", ("fd00",)),
    ],
)
def test_words_that_a_record_must_have(text: str, words: tuple[str, ...]) -> None:
    """Numbers are not among them, which may be a field's default; nor is a network's address."""
    assert Subject(text).recorded == words


@pytest.fixture
def record(lab: Lab) -> Record:
    """The record of a host whose containers share its networks, one of them its own."""
    with lab.host() as host, host.operation() as verbs:
        verbs.create_network("shop", subnet="172.30.0.0/24")
        for number in range(MOST_OWNERS + 6):
            verbs.create(f"c{number}", network="shop")
            verbs.start(f"c{number}")
        verbs.run("monitor", network="host")
    return Record(Reader(lab.root, settings={}))


def test_one_is_explained_without_all(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container, its address, its link, its rules: the record of others is not read."""

    def refused(*_: object) -> list[Thing]:
        raise AssertionError("everything is read")

    read = SqliteStore.all
    monkeypatch.setattr(SqliteStore, "things", refused)
    monkeypatch.setattr(SqliteStore, "things_of", refused)
    monkeypatch.setattr(
        SqliteStore,
        "all",
        lambda self, kind: read(self, kind) if kind.__name__ == "Network" else refused(),
    )
    for words in (("c5",), ("172.30.0.7",), ("c5/eth0",), ("-d 172.30.0.7/32",)):
        found = record.find(Subject.parse(words))
        explained = found.exact or found.related
        assert explained
        assert any("container c5 on network shop" in one.owners for one in explained), words


def test_a_thing_of_many_names_some_of_them(record: Record) -> None:
    """And how many more there are; the one that was asked for is among them."""
    found = record.find(Subject("c29"))
    agent = next(one for one in found.exact if one.name.startswith("agent"))
    assert len(agent.owners) == MOST_OWNERS
    assert agent.others > 0
    assert "container c29 on network shop" in agent.owners or "container c29" in agent.owners


def test_what_is_on_the_host_is_not_in_a_container_of_its_namespace(record: Record) -> None:
    """A container on the host's network is in the host's namespace, which has its own name."""
    found = record.find(Subject("PLUMB-BRIDGE"))
    assert {one.place for one in found.exact} == {"host"}
    assert record.find(Subject("lo", "monitor")) == record.find(Subject("lo", "host"))
