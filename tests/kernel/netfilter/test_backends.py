"""The firewall writers.

One interface, and every rule that a driver can ask for goes through each of them and comes back.

Both kinds of iptables are on every Debian, whichever `iptables` is linked to; a namespace has
tables of both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from plumb import Host, StepFailed, Unsupported
from plumb.engine.rule_order import chains
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.netfilter import backends, iptables_save
from plumb.kernel.netfilter.iptables_legacy.writer import Xtables
from plumb.kernel.netfilter.iptables_nft.writer import IptablesNft
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.kernel.system import System
from plumb.kernel.writer import Writer
from plumb.plan import Step, in_order, plan
from plumb.things import Key, Thing
from plumb.things.iptables import Chain, Family, Policy, Position, Rule, ordered_rules
from tests.cases import CASES
from tests.labs import INTERNET, INTERNET6, Lab, sh

WRITERS: dict[str, Callable[[], Writer]] = {
    "nf_tables": lambda: IptablesNft(IptablesRestore("nft-")),
    "nf_tables by restore": lambda: IptablesRestore("nft-"),
    "legacy by restore": lambda: IptablesRestore("legacy-"),
    "legacy": Xtables,
}
WALL = Rule(Family.V4, "filter", "PLUMB", "! -i br0 -o br0 -j DROP")


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, lab: Lab) -> Writer:
    """Each writer, in a namespace of its own."""
    return WRITERS[request.param]()


def everything(tmp_path: Path) -> list[Thing]:
    """Every chain, rule and policy of every case, on the host."""
    found: dict[Key, Thing] = {}
    for name, case in CASES.items():
        kernel = MemoryKernel()
        system = System(kind_of={"eth0": "veth"}.get)
        with (
            Host(tmp_path / name, settings=case.settings, kernel=kernel, system=system) as host,
            host.operation() as verbs,
        ):
            case.build(verbs)
        found.update(
            (thing.key, thing)
            for thing in kernel.things.values()
            if isinstance(thing, Chain | Rule | Policy) and not thing.where
        )
    return in_order(found.values())


def test_a_jump_to_a_chain_that_is_gone_is_no_rule_that_is_there(writer: Writer) -> None:
    """Beside another rule in its chain; after a rollback, say."""
    there = Rule(Family.V4, "raw", "PREROUTING", "-d 10.0.0.1/32 -j DROP")
    writer.take([Step(None, there)], [])
    jump = Rule(Family.V4, "raw", "PREROUTING", "-p udp -m udp --dport 4789 -j PLUMB-OVERLAY")
    assert writer.look([jump, there]) == [None, there]


def test_every_rule_comes_back_and_goes(writer: Writer, tmp_path: Path) -> None:
    """What was written is found again, word for word, in its order; and it can be taken away."""
    things = everything(tmp_path)
    done: list[Step] = []
    writer.take([Step(None, thing) for thing in things], done)

    assert len(done) == len(things) > 300
    assert [
        thing for thing, now in zip(things, writer.look(things), strict=True) if now != thing
    ] == []
    for rules in chains(things):
        assert writer.order(rules) == ordered_rules(rules)

    writer.take(plan([thing for thing in things if not isinstance(thing, Policy)], []), [])
    assert [
        now for now in writer.look(things) if now is not None and not isinstance(now, Policy)
    ] == []


def lines(variant: str) -> Sequence[str]:
    """What that variant's tables hold."""
    return [line for line in sh(f"iptables-{variant}-save").splitlines() if line.startswith("-A")]


def test_a_writer_writes_its_own_tables_only(writer: Writer) -> None:
    """The two kinds of iptables do not see each other."""
    writer.take([Step(None, Chain(Family.V4, "filter", "PLUMB")), Step(None, WALL)], [])
    mine, other = ("nft", "legacy") if "nft" in writer.name else ("legacy", "nft")

    assert lines(mine) == [f"-A PLUMB {WALL.spec}"]
    assert lines(other) == []


def test_a_table_changes_whole_or_not_at_all(writer: Writer) -> None:
    """One line of a table that is refused leaves the table as it was, and those before it done."""
    good = Rule(Family.V4, "raw", "PREROUTING", "-d 10.0.0.2/32 ! -i br0 -j DROP")
    bad = Rule(Family.V4, "raw", "PREROUTING", "-j NO-SUCH-CHAIN")
    done: list[Step] = []
    with pytest.raises(StepFailed):
        writer.take(
            [Step(None, Chain(Family.V4, "filter", "PLUMB")), Step(None, good), Step(None, bad)],
            done,
        )

    assert [str(step.thing) for step in done] == ["iptables chain filter/PLUMB"]
    assert writer.look([good]) == [None]


def test_what_is_gone_already_counts_as_removed(writer: Writer) -> None:
    """Removing what somebody else has removed is no error, and the rest is removed all the same."""
    other = Rule(Family.V4, "filter", "FORWARD", "-i br0 -j ACCEPT")
    writer.take(
        [Step(None, Chain(Family.V4, "filter", "PLUMB")), Step(None, WALL), Step(None, other)], []
    )
    writer.take([Step(WALL, None)], [])
    writer.take([Step(WALL, None), Step(other, None)], [])

    assert writer.look([WALL, other]) == [None, None]


def test_head_and_tail(writer: Writer) -> None:
    """-I puts a rule before, -A behind what is there."""
    names = {Position.TAIL: "10.0.0.1/32", Position.HEAD: "10.0.0.2/32"}
    rules = [
        Rule(Family.V4, "nat", "POSTROUTING", f"-s {ip} -j MASQUERADE", place)
        for place, ip in names.items()
    ]
    writer.take([Step(None, rule) for rule in rules], [])

    assert writer.order(rules) == rules[::-1]


def test_the_users_chain_is_never_flushed(writer: Writer) -> None:
    """A chain of the user's that is there is taken as it is, and stays when it is not empty."""
    chain, own = (
        Chain(Family.V4, "filter", "PLUMB-USER", users=True),
        Rule(Family.V4, "filter", "PLUMB-USER", "-s 10.0.0.0/8 -j DROP"),
    )
    writer.take([Step(None, chain), Step(None, own)], [])
    writer.take([Step(None, chain)], [])
    writer.take([Step(chain, None)], [])

    assert writer.look([chain, own]) == [chain, own]


def test_the_writer_is_the_hosts_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It follows what `iptables` is linked to; PLUMB_IPTABLES overrides that.

    No command at all is told apart.
    """
    for kind in ("nft", "legacy"):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "iptables").symlink_to(
            shutil.which(f"iptables-{kind}", path=iptables_save.search_path()) or ""
        )
        with monkeypatch.context() as patch:
            patch.setattr(iptables_save, "search_path", lambda folder=folder: str(folder))

            assert backends.variant() == {"nft": "nf_tables", "legacy": "legacy"}[kind]
    monkeypatch.setattr(iptables_save, "search_path", lambda: str(tmp_path))

    assert backends.variant() == ""


def test_a_kernel_without_legacy_tables_gets_the_other_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the legacy tables are gone, the nf_tables variant is written if it is installed, else a
    sentence says what to do."""

    def missing(self: Xtables) -> None:
        raise Unsupported("this kernel has no legacy iptables tables")

    monkeypatch.setattr(Xtables, "__init__", missing)
    monkeypatch.setenv("PLUMB_IPTABLES", "legacy")
    backends.writer.cache_clear()
    try:
        assert backends.writer().name == "iptables-nft"
        backends.writer.cache_clear()
        monkeypatch.setattr(iptables_save, "search_path", lambda: "/nonexistent")
        with pytest.raises(Unsupported, match="no firewall to write to: this kernel has no legacy"):
            backends.writer()
    finally:
        backends.writer.cache_clear()


def test_the_same_networks_on_the_legacy_tables(lan: Lab) -> None:
    """With PLUMB_IPTABLES=legacy all is built, checked and taken away there, and containers reach
    the world."""
    legacy = {"PLUMB_IPTABLES": "legacy"}
    lan.plumb("network", "create", "--ipv6", "n1", env=legacy)
    lan.plumb("run", "-d", "--name", "c1", "--network", "n1", env=legacy)
    lan.plumb("check", env=legacy)

    assert (
        "1 received" in lan.plumb("exec", "c1", "ping", "-c1", "-W10", INTERNET, env=legacy).stdout
    )
    assert (
        "1 received" in lan.plumb("exec", "c1", "ping", "-c1", "-W10", INTERNET6, env=legacy).stdout
    )
    assert lines("nft") == []
    assert any("MASQUERADE" in line for line in lines("legacy"))
    lan.plumb("reset", "--force", env=legacy)
    assert lines("legacy") == []


def test_a_version_is_that_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked once; another file in its place is asked anew."""
    command, asked = tmp_path / "iptables-restore", tmp_path / "asked"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    versions = []
    for version in ("1.8.9", "1.8.11"):
        script = f"#!/bin/sh\necho >> {asked}; echo 'iptables-restore v{version} (nf_tables)'\n"
        command.unlink(missing_ok=True)
        command.write_text(script)
        command.chmod(0o755)
        versions += [IptablesRestore().version(), IptablesRestore().version()]
    assert versions == [(1, 8, 9), (1, 8, 9), (1, 8, 11), (1, 8, 11)]
    assert asked.read_text() == "\n\n"


def test_a_command_that_does_not_say_its_version_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have failed for once."""
    command, asked = tmp_path / "iptables-restore", tmp_path / "asked"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command.write_text(f"#!/bin/sh\necho >> {asked}; exit 1\n")
    command.chmod(0o755)
    assert (IptablesRestore().version(), IptablesRestore().version()) == ((), ())
    assert asked.read_text() == "\n\n"
