"""Parts that cannot be read: nothing is concluded from what they lack."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.kernel.diagnosis import rule_sets
from plumb.kernel.netfilter import iptables_save
from plumb.model.diagnosis.snapshot import EndState, NamespaceState, NetworkState, Snapshot
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from tests import labs
from tests.doctor.made import SHOP, WEB, chain, found, web
from tests.labs import sh

LAN = NetworkState("l", "lan", "docker", "macvlan", parent="eth0", on_lan=True)
ON_BOTH = replace(web("tcp"), ends=(*web("tcp").ends, EndState("l")))
BARE = Snapshot(
    NamespaceState("host", resolv="nameserver 192.0.2.1\n"),
    (NamespaceState("web", resolv="nameserver 127.0.0.11\n"),),
    (ON_BOTH,),
    (SHOP, LAN),
)
"""A host and a container in which there is nothing at all."""


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("sockets", {"no-localhost", "port-not-rewritten"}),
        ("links", {"bridge-missing", "parent-down"}),
        ("firewall rules", {"no-masquerade", "port-not-rewritten"}),
    ],
)
def test_a_part_of_the_host_that_was_not_read_proves_nothing(part: str, expected: set[str]) -> None:
    """Its findings go, `not-read` comes, and the others stay."""
    host = replace(BARE.host, unread=(f"{part}: operation not permitted",))
    before, after = found(BARE).keys(), found(replace(BARE, host=host)).keys()
    assert after == before - expected | {"not-read"}
    assert expected <= before


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("sockets", {"nobody-listens", "embedded-dns-silent"}),
        ("firewall rules", {"nobody-listens"}),
        ("addresses", {"address-missing"}),
        ("links", {"address-missing"}),
    ],
)
def test_a_part_of_a_container_that_was_not_read_proves_nothing(
    part: str, expected: set[str]
) -> None:
    """As on the host."""
    inside = replace(BARE.spaces[0], unread=(f"{part}: operation not permitted",))
    assert found(replace(BARE, spaces=(inside,))).keys() == found(BARE).keys() - expected | {
        "not-read"
    }
    assert expected <= found(BARE).keys()


def test_routes_that_were_not_read_are_none_that_are_gone() -> None:
    """A container has a default route in all likelihood."""
    link = Link(Netns("web", ""), 2, "eth0")
    address = ("eth0", WEB)
    inside = replace(BARE.spaces[0], links=(link,), addresses=(address,))
    lost = replace(inside, unread=("routes: operation not permitted",))
    assert "no-default-route" in found(replace(BARE, spaces=(inside,)))
    assert "no-default-route" not in found(replace(BARE, spaces=(lost,)))


def test_rules_that_were_not_read_are_none_that_were_flushed() -> None:
    """A policy that drops stands alone in what was read; the engine's rules may stand elsewhere."""
    host = replace(BARE.host, chains=(chain("FORWARD", policy="drop"),))
    lost = replace(host, unread=("firewall rules: operation not permitted",))
    assert "rules-flushed" in found(replace(BARE, host=host))
    assert "rules-flushed" not in found(replace(BARE, host=lost))


def test_a_port_that_is_listened_to_on_loopback_may_be_led_there() -> None:
    """By a rule of NAT in the container."""
    own = (Listener("tcp", ip_address("127.0.0.1"), 80),)
    inside = replace(BARE.spaces[0], listeners=own)
    lost = replace(inside, unread=("firewall rules: operation not permitted",))
    assert "listens-on-loopback" in found(replace(BARE, spaces=(inside,)))
    assert "listens-on-loopback" not in found(replace(BARE, spaces=(lost,)))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A namespace with a rule of iptables, whose iptables-nft-save fails."""
    sh("iptables-nft -N probed")
    command = tmp_path / "iptables-nft-save"
    command.write_text("#!/bin/sh\necho 'no memory' >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    yield
    monkeypatch.undo()
    sh("iptables-nft -X probed")


@pytest.mark.usefixtures("broken")
def test_rules_that_iptables_does_not_list_are_said() -> None:
    """They are read by libnftables all the same."""
    failed: list[str] = []
    chains = rule_sets.chains(failed)
    assert failed == ["firewall rules: cannot read the rules: iptables-nft-save: no memory"]
    assert "probed" in {chain.name for chain in chains}


def test_many_errors_beside_the_rules_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe has room for, before the first rule."""
    command = tmp_path / "iptables-nft-save"
    command.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' e >&2\necho '*filter'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert iptables_save.listed("iptables-nft-save") == {"filter": {}}


@pytest.mark.usefixtures("broken")
def test_other_readers_take_a_failure_for_no_rules() -> None:
    """`saved` is asked by commands that go on without."""
    assert iptables_save.saved("iptables-nft-save") == {}
    with pytest.raises(KernelRefused, match="no memory"):
        iptables_save.listed("iptables-nft-save")


def test_rules_that_libnftables_does_not_list_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may refuse a question while rules change."""

    def refused(command: object) -> list[object]:
        raise KernelRefused("read other firewalls", 4)

    monkeypatch.setattr(rule_sets, "listed", refused)
    failed: list[str] = []
    with labs.lab():
        sh("nft add table ip mine")
        rule_sets.chains(failed)
    assert [each.partition(":")[0] for each in failed] == ["firewall rules"]
