"""A crowd: many plumbs at once on one root take turns, and nobody gets what another has.

Eight processes connect and disconnect their own containers on two shared networks, which are so
small that addresses are handed out again and again. Each writes down which address it had from when
to when."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import time
import traceback
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest

from plumb import Host
from plumb.model.cnm import Sandbox
from tests import labs, sampling
from tests.host.trial_hosts import fork_plumb, host, marked, output_of, plumb
from tests.labs import Lab
from tests.waiting import until

SEED = 20251121
PROCESSES, TURNS = 8, 50 if sampling.complete() else 20
NETWORKS = {"red": "10.9.0.0/28", "blue": "10.9.1.0/28"}
SILENT = {"com.docker.network.advertise_addr_nmsgs": "0"}


class Held(NamedTuple):
    """An address, who had it, and when."""

    ip: str
    who: int
    start: float
    end: float


@pytest.mark.slow
def test_a_crowd_gets_no_error_and_no_address_twice(lab: Lab, tmp_path: Path) -> None:
    """Eight processes with many connects and disconnects each.

    None fails, no address has two owners, nothing is left.
    """
    before = host(lab)
    with lab.host() as known:
        for name, subnet in {"home": "10.9.9.0/24", **NETWORKS}.items():
            known.create_network(name, subnet=subnet, options=SILENT)
        boxes = [known.run(f"box{who}", network="home") for who in range(PROCESSES)]
    start = time.monotonic()
    workers = [_fork(lab, who, box, tmp_path) for who, box in enumerate(boxes)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
    print(f"{PROCESSES * TURNS} connects and disconnects in {time.monotonic() - start:.1f} s")
    assert statuses == [0] * PROCESSES, (tmp_path / "errors").read_text()
    held = [
        Held(*words)
        for who in range(PROCESSES)
        for words in json.loads((tmp_path / str(who)).read_text())
    ]
    assert len(held) == PROCESSES * TURNS
    assert doubles(held) == []
    assert len({one.ip for one in held}) < len(held) / 4, (
        "addresses were hardly ever used again: the networks are too large"
    )
    with lab.host() as known:
        assert known.check() == []
        assert [len(known.endpoints(known.network(name))) for name in NETWORKS] == [0, 0]
        known.reset()
    until(lambda: not marked(lab), "processes end")
    assert host(lab) == before


@pytest.mark.slow
def test_a_crowd_goes_on_when_members_are_killed(lab: Lab) -> None:
    """While four processes connect and disconnect, some are killed.

    The others recover for them, and all is on record.
    """
    before = host(lab)
    with lab.host() as known:
        known.create_network("home", options=SILENT)
        for who in range(4):
            known.run(f"box{who}", network="home")
    chance = random.Random(SEED)
    victims: list[int] = []
    for turn in range(60):
        verb = ("connect", "disconnect")[turn // 4 % 2]
        victims.append(fork_plumb(lab, "network", verb, "bridge", f"box{turn % 4}"))
        if len(victims) == 4:
            time.sleep(chance.uniform(0, 0.08))
            os.kill(victims[chance.randrange(4)], signal.SIGKILL)
            while victims:
                os.waitpid(victims.pop(), 0)
    plumb(lab, "network", "create", "next")
    with lab.host() as known:
        assert known.check() == []
        for box in known.containers():
            recorded = {str(end.ip) for end in known.endpoints(box)}
            assert recorded == {
                line.split()[3]
                for line in lab.inside(
                    known, box, "ip -4 -o address show scope global"
                ).splitlines()
            }
        known.reset()
    until(lambda: not marked(lab), "processes end")
    assert host(lab) == before


def test_a_command_that_waits_for_a_reset_begins_anew(lab: Lab) -> None:
    """A command that comes in the middle of a reset waits, and works on a fresh root.

    What it makes is on record.
    """
    before = host(lab)
    for name in ("one", "two", "three"):
        plumb(lab, "network", "create", name)
    reset = fork_plumb(lab, "reset", "--force")
    until(lambda: _locked(lab), "the reset has its turn")
    late = fork_plumb(
        lab, "network", "create", "late", "-o", "com.docker.network.bridge.name=br-late"
    )
    assert [os.waitpid(pid, 0)[1] for pid in (reset, late)] == [0, 0], output_of(lab).read_text()
    with lab.host() as known:
        assert [net.name for net in known.networks() if not net.predefined] == ["late"]
        assert known.check() == []
        known.reset()
    assert host(lab) == before


def _locked(lab: Lab) -> bool:
    """Whether somebody has the writers' turn."""
    folder = os.open(lab.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder)
    return False


def doubles(held: list[Held]) -> list[tuple[Held, Held]]:
    """Pairs that had one address at the same time."""
    return [
        (one, two)
        for one, two in combinations(held, 2)
        if one.ip == two.ip and one.start < two.end and two.start < one.end
    ]


def _fork(lab: Lab, who: int, box: Sandbox, folder: Path) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            with lab.host() as known:
                (folder / str(who)).write_text(
                    json.dumps([_turn(known, who, box, turn) for turn in range(TURNS)])
                )
            os._exit(0)
        except BaseException:
            with open(folder / "errors", "a") as errors:
                errors.write(f"process {who}: {traceback.format_exc()}\n")
        finally:
            os._exit(1)
    return pid


def _turn(known: Host, who: int, box: Sandbox, turn: int) -> Held:
    """Connect, see that store and namespace agree, disconnect."""
    network = tuple(NETWORKS)[(who + turn) % len(NETWORKS)]
    known.connect(network, box.id)
    start = time.monotonic()
    recorded = {str(end.ip) for end in known.endpoints(box)}
    there = {
        line.split()[3]
        for line in labs.within(
            known.namespace(box), "ip -4 -o address show scope global"
        ).splitlines()
    }
    assert recorded == there, f"store: {recorded}, namespace: {there}"
    assert len(there) == 2
    new = next(
        str(end.ip) for end in known.endpoints(box) if end.network == known.network(network).id
    )
    held = Held(new, who, start, time.monotonic())
    known.disconnect(network, box.id)
    return held
