"""Two roots in one network namespace: the second is refused before it touches anything.

The chains, plumb0 and the forwarding sysctls are there once in a namespace; each root would take
them for its own, and take them away from the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plumb import Host, PlumbError
from plumb.errors import Conflict
from plumb.kernel.netns import claim, namespaces
from plumb.kernel.netns.claim import Claim
from plumb.kernel.netns.namespaces import entered
from tests import REPOSITORY, labs
from tests.host.test_published_ports import BACKENDS, FIREWALLS, FORWARDS, Firewall
from tests.host.trial_hosts import fork_plumb, host, output_of
from tests.labs import Lab, sh, state


@pytest.fixture(params=BACKENDS)
def wall(request: pytest.FixtureRequest) -> Iterator[Firewall]:
    """Each back end."""
    chosen = FIREWALLS[request.param]
    with labs.iptables(chosen.iptables):
        yield chosen


@pytest.fixture
def roots(lan: Lab, wall: Firewall) -> tuple[Host, Host]:
    """Two roots on one host, neither of which has been used."""
    sh(FORWARDS)
    return (
        lan.host(settings=wall.settings),
        Host(lan.root.parent / "other", settings=wall.settings),
    )


@pytest.mark.parametrize("order", ["as they are", "the other way round"])
def test_the_second_is_refused_and_touches_nothing(order: str, roots: tuple[Host, Host]) -> None:
    """It names the first, makes no root, and all that the first has stays."""
    first, second = roots if order == "as they are" else roots[::-1]
    with first, second:
        first.create_network("shop", subnet="10.9.0.0/24")
        first.run("web", network="shop", publish=["8080:80"])
        before = state()
        for refused in (
            lambda: second.create_network("foo"),
            lambda: second.run("web"),
            second.repair,
        ):
            with pytest.raises(Conflict, match=f"the root {first.layout.root} is in use"):
                refused()
        second.reset()
        assert not Path(second.layout.root).exists()
        assert state() == before
        assert first.check() == []
        first.reset()


@pytest.mark.parametrize("order", ["as they are", "the other way round"])
def test_the_second_begins_when_the_first_is_reset(order: str, roots: tuple[Host, Host]) -> None:
    """A reset gives the namespace back, with nothing of the first in it."""
    first, second = roots if order == "as they are" else roots[::-1]
    before = state()
    for one in (first, second):
        with one:
            one.create_network("shop", subnet="10.9.0.0/24")
            assert one.check() == []
            one.reset()
            assert state() == before


def test_a_refused_wish_leaves_no_claim(lan: Lab) -> None:
    """Where a root's first command is refused, not even the claim is left."""
    with lan.host() as first:
        with pytest.raises(PlumbError, match="not found"):
            first.run("web", network="nowhere")
        assert claim.holder() is None


def test_a_root_is_seen_from_another_mount_namespace(lan: Lab) -> None:
    """One that has /run, /tmp and /var of its own learns the first root's name all the same."""
    with lan.host() as first:
        first.create_network("shop", subnet="10.9.0.0/24")
        said = sh(
            "unshare --mount --propagation private sh -c 'for each in /run /var "
            f"{lan.root.parent}; "
            "do mount -t tmpfs none $each; done; cd /; "
            f"PYTHONPATH={REPOSITORY} {sys.executable} -m plumb network create foo 2>&1; "
            "ls /var/lib 2>&1' || true"
        )
        assert f"the root {lan.root} is in use in this network namespace" in said
        assert f"PLUMB_ROOT={lan.root} plumb reset --force" in said
        assert first.check() == []
        first.reset()


def test_of_two_first_commands_at_once_one_goes_on(lan: Lab) -> None:
    """Whoever comes second waits for the claim, and is refused."""
    other = replace(lan, root=lan.root.parent / "other")
    pids = [fork_plumb(each, "network", "create", "shop") for each in (lan, other)]
    statuses = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    assert statuses == [0, 1], output_of(lan).read_text()
    assert output_of(lan).read_text().count("is in use in this network namespace") == 1
    for each in (lan, other):
        with each.host() as one:
            one.reset()
    assert "PLUMB" not in sh("iptables-save")


def test_an_alias_of_the_loopback_link_stays(lan: Lab) -> None:
    """The claim goes behind it, and goes away alone."""
    sh("ip link set lo alias 'of the administrator'")
    with lan.host() as first:
        first.create_network("shop", subnet="10.9.0.0/24")
        assert f"of the administrator plumb id={first.store.meta('claim')} was=" in sh(
            "ip link show lo"
        )
        first.reset()
    assert "alias of the administrator\n" in sh("ip link show lo")


def test_a_long_root_is_cut_and_known_all_the_same(lan: Lab) -> None:
    """An alias has room for 255 bytes; the token tells the root."""
    folder = lan.root.parent / ("a" * 150) / ("ö" * 100)
    folder.parent.mkdir()
    with Host(folder, settings={}) as first:
        first.create_network("shop", subnet="10.9.0.0/24")
        first.create_network("second", subnet="10.10.0.0/24")
        with pytest.raises(Conflict, match="a" * 150), lan.host() as second:
            second.create_network("foo")
        first.reset()
    assert claim.holder() is None


def test_another_namespace_takes_another_root(lan: Lab) -> None:
    """Each network namespace has a claim of its own."""
    beside = str(lan.root.parent / "beside")
    namespaces.make(beside)
    try:
        with lan.host() as first, Host(lan.root.parent / "other", settings={}) as second:
            first.create_network("shop", subnet="10.9.0.0/24")
            with entered(beside):
                second.create_network("shop", subnet="10.9.0.0/24")
                assert second.check() == []
                second.reset()
            assert first.check() == []
            first.reset()
    finally:
        namespaces.drop(beside)


def test_a_root_of_an_earlier_boot_is_reset_beside_another(lan: Lab, wall: Firewall) -> None:
    """Its namespace was emptied, and another root builds there now: it takes away only its own."""
    sh(FORWARDS)
    with lan.host(settings=wall.settings) as old:
        old.create_network("shop", subnet="10.9.0.0/24")
        old.create("web", network="shop")
    reboot = str(lan.root.parent / "reboot")
    namespaces.make(reboot)
    try:
        with (
            entered(reboot),
            Host(lan.root.parent / "new", settings=wall.settings) as new,
            lan.host(settings=wall.settings) as old,
        ):
            sh(FORWARDS)
            new.create_network("shop", subnet="10.10.0.0/24")
            before = state()
            with pytest.raises(Conflict, match=f"the root {lan.root.parent}/new is in use"):
                old.create_network("foo")
            old.reset()
            assert not lan.root.exists()
            assert state() == before
            assert new.check() == []
            new.reset()
    finally:
        namespaces.drop(reboot)
    with lan.host(settings=wall.settings) as again:
        again.reset()


def test_chains_that_no_root_has_on_record_stay(lan: Lab, wall: Firewall) -> None:
    """A root's first command is refused where plumb's chains are there, and nothing has changed."""
    sh(FORWARDS)
    if wall.settings:
        sh("nft add table ip plumb-bridges")
    else:
        tool = "iptables-legacy" if wall.iptables == "legacy" else "iptables"
        sh(f"{tool} -N PLUMB-FORWARD; {tool} -A FORWARD -j PLUMB-FORWARD; {tool} -P FORWARD DROP")
    before = host(lan)
    with lan.host(settings=wall.settings) as first:
        with pytest.raises(Conflict, match="is there already, and no record of this root has it"):
            first.create_network("shop", subnet="10.9.0.0/24")
        assert claim.holder() is None
    assert host(lan) == before


def test_a_claim_is_released_by_its_own_root_only() -> None:
    """Another root's token does not end it."""
    mine, others = Claim("/a", "00"), Claim("/b", "11")
    with labs.lab():
        assert claim.take(mine) == mine
        claim.release(others)
        assert claim.take(others) == mine
        claim.release(mine)
        assert claim.holder() is None
