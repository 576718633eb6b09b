"""Waiting: for what comes, with a deadline, and a failure that says what was seen last."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plumb.pytest_plugin import waiting
from plumb.pytest_plugin.commands import Command
from plumb.pytest_plugin.forkserver_client import Lost
from plumb.pytest_plugin.labs import Lab
from plumb.pytest_plugin.waiting import Waited, wait
from tests import programs


def test_a_wait_gives_what_it_waited_for() -> None:
    """It ends as soon as the condition holds."""
    values = iter([0, "", "here"])

    assert wait(lambda: next(values), "a value") == "here"


def test_a_wait_in_vain_says_what_was_seen_last() -> None:
    """What the condition gave last is in the message, or what its own assertion said."""

    def look() -> bool:
        raise AssertionError("3 of 4 are there")

    with pytest.raises(Waited, match=r"waited 0.05 s in vain for the rest\nlast seen: 0"):
        wait(lambda: 0, "the rest", 0.05)
    with pytest.raises(Waited, match=r"last seen: 3 of 4 are there"):
        wait(look, "the rest", 0.05)


def test_slow_machines_get_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """--plumb-slow gives all deadlines that much more."""
    monkeypatch.setattr(waiting, "slow", 3.0)

    with pytest.raises(Waited, match=r"waited 0.15 s"):
        wait(lambda: None, "nothing", 0.05)


def test_a_timeout_in_the_middle_of_an_answer(lab: Lab) -> None:
    """What interrupts a question (a timeout of pytest's, Ctrl-C) ends the lab, rather than that
    answers and questions get mixed up."""

    def ring(*_: object) -> None:
        raise TimeoutError  # as pytest-timeout does it

    web = lab.container("web", networks=lab.network("front"))
    db = lab.container("db", networks=lab.network("back"))
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeoutError):
            web.reaches(db, tcp=80, seconds=10)
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(Lost, match="was interrupted in the middle of an answer"):
        web.reaches(db)


def test_waiting_for_a_server(lab: Lab) -> None:
    """`wait_listening` ends when somebody listens; in vain, it says who does instead."""
    web = lab.container("web", networks=lab.network("net"))
    with web.socket() as server:
        server.bind(("0.0.0.0", 81))
        server.listen()
        web.wait_listening(81)
        with pytest.raises(Waited, match=r"listening: .*0\.0\.0\.0:81"):
            web.wait_listening(80, seconds=0.05)


@pytest.mark.alone
def test_waiting_for_carrier_is_told_by_the_kernel(lab: Lab) -> None:
    """A link that gets carrier ends the wait at once, not at the next look."""
    web = lab.container("web", networks=lab.network("net"))
    port = lab.plumb.endpoints(lab.plumb.container("web"))[0].link
    web.wait_carrier("net")
    lab.host.run(f"ip link set {port} down")
    with pytest.raises(Waited, match="eth0 is up, without carrier"):
        web.wait_carrier("net", seconds=0.05)
    lab.host.popen(f"sleep 0.3; ip link set {port} up")
    begun = time.monotonic()
    web.wait_carrier("net")

    assert time.monotonic() - begun < 5


def test_waiting_for_somebody_to_be_reached(lab: Lab) -> None:
    """`wait_reachable` asks again until there is an answer."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net")), ("db", "net"))
    )
    db.run("ip link set eth0 down")
    with pytest.raises(
        Waited,
        match=r"for web to reach db\nlast seen: web does not reach db .* db has no link that works",
    ):
        web.wait_reachable(db, tcp=80, seconds=0.1)
    db.popen("sleep 0.2; ip link set eth0 up")
    web.wait_reachable(db, tcp=80)


def test_an_end_of_which_no_status_comes_is_waited_for_as_long_as_asked() -> None:
    """The lab's first process tells the status; whoever else reaps the command takes it along."""
    with programs.running(["true"]) as program:
        process = os.pidfd_open(program.pid)
        command = Command("here", ["true"], lambda words, files: (0, process), lambda pid: None)
        with pytest.raises(Waited, match=r"here: true did not end within 0\.3 s"):
            command.wait(0.3)
        command.close()
