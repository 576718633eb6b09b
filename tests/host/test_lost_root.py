"""A root whose record is lost or damaged: it is told in a line, and all of it can be removed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plumb.drivers import bridge_iptables, bridge_nftables
from plumb.engine.roots import claim as claims
from plumb.kernel import leavings
from plumb.kernel.netns import claim
from tests import labs
from tests.host.test_published_ports import BACKENDS, FIREWALLS, FORWARDS, Firewall
from tests.host.test_repair import forwarding
from tests.host.trial_hosts import host, plumb, tried
from tests.labs import Lab, sh

DAMAGED = "plumb.db.damaged"


@pytest.fixture(params=BACKENDS)
def wall(request: pytest.FixtureRequest) -> Iterator[Firewall]:
    """Each back end."""
    chosen = FIREWALLS[request.param]
    with labs.iptables(chosen.iptables):
        yield chosen


def build(lab: Lab, wall: Firewall) -> None:
    """Networks of each kind that leaves something in the host, and containers on them."""
    with lab.host(settings=wall.settings) as built:
        built.create_network("shop", subnet=["10.9.0.0/24", "fd00:9::/64"], ipv6=True)
        built.create_network("named", subnet="10.10.0.0/24", options={BRIDGE_NAME: "mine0"})
        built.create_network("inside", subnet="10.11.0.0/24", internal=True)
        built.run("web", network="shop", publish=["8080:80", "127.0.0.1:8081:81"])
        built.run("db", network="named", command=["sleep", "600"])


BRIDGE_NAME = "com.docker.network.bridge.name"


def lose(lab: Lab) -> None:
    """Remove the record, as `rm -rf` would."""
    for path in lab.root.glob("plumb.db*"):
        path.unlink()


def test_what_a_lost_root_left_is_told_and_removed(lan: Lab, wall: Firewall) -> None:
    """`check` names it with status 1; no root builds over it; `reset --force` bares the host."""
    sh(FORWARDS)
    before = host(lan)
    build(lan, wall)
    lose(lan)
    status, printed = tried(lan, "check")
    assert status == 1
    for mark in ("bridge mine0", "bridge plumb0", "namespace ", "directory ", "agent"):
        assert f"left behind: {mark}" in printed
    assert "run 'plumb reset --force' to remove it" in printed
    status, printed = tried(lan, "network", "create", "shop")
    assert (status, "whose record is not there" in printed) == (1, True), printed
    assert len(printed.splitlines()) == 1
    plumb(lan, "reset", "--force")
    assert {**host(lan), "files": []} == {**before, "files": []}
    assert not lan.root.exists()
    assert claim.holder() is None
    assert tried(lan, "check") == (0, "")


def test_what_the_host_was_comes_back_without_a_record(lan: Lab) -> None:
    """Forwarding and the policies of FORWARD, from the claim."""
    before = forwarding()
    build(lan, FIREWALLS["iptables"])
    assert forwarding() != before
    shutil.rmtree(lan.root, ignore_errors=True)
    plumb(lan, "reset", "--force")
    assert forwarding() == before


def test_leavings_without_a_claim_are_found_by_their_marks(lan: Lab, wall: Firewall) -> None:
    """As those of a plumb that made no claims."""
    sh(FORWARDS)
    before = host(lan)
    build(lan, wall)
    lose(lan)
    sh("ip link set lo alias ''")
    assert tried(lan, "check")[0] == 1
    status, printed = tried(lan, "network", "create", "shop")
    assert (status, "is there already" in printed) == (1, True), printed
    plumb(lan, "reset", "--force")
    assert {**host(lan), "files": []} == {**before, "files": []}


def test_what_is_not_plumbs_stays(lan: Lab) -> None:
    """A bridge and rules of the administrator's, and the user's chain."""
    sh("ip link add br-0123456789ab type bridge; ip link add br-mine type bridge")
    sh("iptables -A FORWARD -i br-0123456789ab -j ACCEPT; iptables -N DOCKER-X")
    before = sh("ip -br link; iptables -S FORWARD | grep -v -e -P; iptables -S DOCKER-X")
    build(lan, FIREWALLS["iptables"])
    sh("iptables -A PLUMB-USER -s 203.0.113.0/24 -j DROP")
    lose(lan)
    plumb(lan, "reset", "--force")
    after = sh(
        "ip -br link; iptables -S FORWARD | grep -v -e -P -e PLUMB-USER; iptables -S DOCKER-X"
    )
    assert after == before
    assert "203.0.113.0/24" in sh("iptables -S PLUMB-USER")


def _page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 6)


def _text(content: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


def _row(query: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute(query)
            db.commit()

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "pages": _page,
    "no database": _text(b"not a database at all, " * 400),
    "empty": _text(b""),
    "a thing": _row("UPDATE thing SET json = '{\"nam' WHERE number = 3"),
    "a thing of an unknown kind": _row("UPDATE thing SET kind = 'Teapot' WHERE number = 3"),
    "a journal row": _row("INSERT INTO journal (json) VALUES ('{}')"),
    "a newer schema": _row("PRAGMA user_version = 99"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_told_and_all_is_removed(damage: str, lan: Lab) -> None:
    """One line, no traceback; a copy of the record is kept, and the host is bare."""
    before = host(lan)
    build(lan, FIREWALLS["iptables"])
    record = lan.root / "plumb.db"
    with closing(sqlite3.connect(record)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in lan.root.glob("plumb.db-*"):
        path.unlink()
    DAMAGES[damage](record)
    kept = record.read_bytes()
    if damage != "empty":
        status, printed = tried(lan, "check", "--store")
        assert (status, "plumb.db: " in printed) == (1, True), printed
    argv = ("check",) if "thing" in damage else ("run", "-d", "--name", "other")
    status, printed = tried(lan, *argv)
    assert (status, len(printed.splitlines())) == (125 if argv[0] == "run" else 1, 1), printed
    plumb(lan, "reset", "--force")
    assert {**host(lan), "files": []} == {**before, "files": []}
    if damage != "empty":
        assert (lan.root / DAMAGED).read_bytes()[:4096] == kept[:4096]
    plumb(lan, "network", "create", "anew")
    assert tried(lan, "check") == (0, "")
    plumb(lan, "reset", "--force")


def test_a_whole_record_has_no_damage(lan: Lab) -> None:
    """`check --store` prints nothing."""
    build(lan, FIREWALLS["iptables"])
    assert tried(lan, "check", "--store") == (0, "")
    plumb(lan, "reset", "--force")
    assert tried(lan, "check", "--store") == (0, "")


def test_the_marks_are_the_drivers_names() -> None:
    """The drivers' chains and table, and every setting of the host that plumb changes."""
    assert leavings.CHAINS == bridge_iptables.CHAINS
    assert leavings.NFT_TABLE == bridge_nftables.TABLE
    assert len(claims.standing("".join(claims.STANDING))) == len(claims.STANDING)
