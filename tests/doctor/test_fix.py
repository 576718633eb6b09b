"""`doctor --fix` and `--undo`: what is done is asked for, written down first, and taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from plumb.cli.diagnosis import fixes
from plumb.doctor import fix, remedies
from plumb.errors import Invalid, NotFound, PlumbError
from plumb.kernel.diagnosis.undo_journal import UndoJournal
from plumb.lab.faults.fault import Fault
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Remedy, RemedyStep, command, joined
from plumb.model.paths import Layout
from tests import REPOSITORY, labs
from tests.doctor import faults
from tests.doctor.faults import FAULTS
from tests.labs import Lab, sh
from tests.waiting import until

TAKEN_BACK = (
    "ip_forward is 0",
    "forwarding is off for the bridge",
    "a table of nft's own with policy drop",
    "POSTROUTING -j MASQUERADE without a match",
    "ufw deny 8080, a published port",
    "a more specific route by the uplink",
    "a VPN's table is asked first",
    "a route of type blackhole",
    "strict rp_filter with two default routes",
    "the bridge is down",
    "a veth is taken off its bridge",
    "the host's end of a veth is down",
    "no default route",
    "eth0 in it is down",
    "a veth's ends with two MTUs",
    "the uplink's MTU is smaller",
    "a macvlan's parent is down",
)
"""Faults whose remedy has an inverse, which is not to start an engine or a container again."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Lab]:
    """The lab of the faults, one for all."""
    with faults.scene() as lab:
        yield lab


def state(lab: Lab) -> dict[str, list[str]]:
    """All that the system's tools show of the host and its containers."""
    with lab.host() as host:
        boxes = {box.name: host.namespace(box) for box in host.containers()}
    found = labs.state(boxes)
    found["rules of routing"] = sh("ip rule").splitlines()
    found["rp_filter"] = sh("sysctl -a 2>/dev/null | grep -E 'rp_filter|redirects'").splitlines()
    return found


def numbers(lab: Lab) -> list[int]:
    """The fixes on record."""
    return UndoJournal(Layout.of(lab.root).fixes).numbers()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(each, id=each.title.replace(" ", "-"), marks=pytest.mark.needs(*each.needs))
        if each.needs
        else pytest.param(each, id=each.title.replace(" ", "-"))
        for each in FAULTS
        if each.title in TAKEN_BACK
    ],
)
def test_a_fix_is_taken_back(scene: Lab, fault: Fault) -> None:
    """Fault, fix: nothing is found. Undo: the host is as it was with the fault."""
    assert faults.until(scene, lambda found: not found) == []
    faults.inject(scene, fault)
    try:
        faults.until(scene, lambda found: any(each.id == fault.id for each in found))
        before, others = state(scene), numbers(scene)
        force = ("--force",) if fault.grade is not Grade.PROVEN else ()

        done = scene.plumb("doctor", "--fix", fault.id, "--yes", *force)

        assert f"{fault.id} is not found any more" in done.stdout
        assert faults.until(scene, lambda found: not found) == []
        scene.plumb("doctor", "--undo", "--yes")
        assert state(scene) == before
        assert numbers(scene) == others
    finally:
        mended = scene.plumb("doctor", "--fix", fault.id, "--yes", "--force", status=None)
        faults.shell(scene, fault.after or "true")
        print(mended.stdout, mended.stderr)


def finding(*remedies: str | Remedy, grade: Grade = Grade.PROVEN) -> Finding:
    """A finding with remedies."""
    return Finding("it", grade, Severity.PROBLEM, "it is broken", ("host",), (), "", remedies)


def test_what_is_only_likely_needs_force() -> None:
    """A remedy of something that may be meant would be a fault."""
    mend = command(("true",), ("true",))
    doubtful = finding(mend, grade=Grade.LIKELY)

    with pytest.raises(Invalid, match="not proven"):
        fix.chosen([doubtful], "it", False)
    assert fix.chosen([doubtful], "it", True) == [(doubtful, mend)]


def test_a_remedy_that_can_be_taken_back_is_preferred() -> None:
    """An engine that starts again ends programs."""
    restart, rule = command(("systemctl", "restart", "docker")), command(("true",), ("false",))

    assert fix.chosen([finding(restart, rule)], "it", False)[0][1] == rule
    assert fix.chosen([finding("do this", restart)], "it", False)[0][1] == restart


def test_words_are_not_run() -> None:
    """Some remedies are for people."""
    with pytest.raises(Invalid, match="cannot mend") as refused:
        fix.chosen([finding("stop nginx, or publish another port")], "it", False)
    assert refused.value.hint == "for you to do: stop nginx, or publish another port"


def test_what_is_not_found_is_not_mended() -> None:
    """The error says what is."""
    with pytest.raises(NotFound, match="does not find other"):
        fix.chosen([finding("")], "other", False)


@pytest.mark.parametrize(
    ("word", "said"),
    [("", "--fix takes a finding's name"), ("it", "doctor has no finding called it")],
)
def test_a_word_that_is_no_finding_is_said(word: str, said: str) -> None:
    """Before the host is read."""
    with pytest.raises(Invalid) as refused:
        fixes.fix(word, yes=True, force=False)
    assert str(refused.value) == said


def test_nobody_is_asked_without_a_terminal(scene: Lab) -> None:
    """What would be done is printed, and not done."""
    faults.shell(scene, "ip route add blackhole 172.20.0.0/25")
    try:
        refused = scene.plumb("doctor", "--fix", "route-blackhole", status=1)
        assert "would run: ip route del blackhole 172.20.0.0/25" in refused.stdout
        assert "undo:      ip route add blackhole 172.20.0.0/25" in refused.stdout
        assert "no terminal" in refused.stderr
        assert "blackhole" in sh("ip route")
    finally:
        faults.shell(scene, "ip route del blackhole 172.20.0.0/25")


def test_a_snapshot_of_another_host_is_not_mended_here(scene: Lab) -> None:
    """Its names are not this host's."""
    refused = scene.plumb("doctor", "--from", "x", "--fix", "ip-forward-off", status=None)
    assert refused.returncode
    assert "go with --yes and --force alone" in refused.stderr


@pytest.fixture
def journal(lab: Lab) -> UndoJournal:
    """An empty one."""
    return UndoJournal(Layout.of(lab.root).fixes)


def link(name: str) -> Remedy:
    """A remedy that makes a link."""
    made = ("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}0")
    return command(made, ("ip", "link", "del", name))


def test_a_step_that_fails_takes_the_others_back(journal: UndoJournal) -> None:
    """All or nothing, as with everything of plumb's."""
    both = Remedy((*link("first").steps, *command(("ip", "link", "set", "none", "up")).steps))

    with pytest.raises(PlumbError, match="ip link set none up: Cannot find device"):
        fix.apply(journal, [(finding(both), both)], {})

    assert "first" not in sh("ip -br link")
    assert journal.numbers() == []


def test_a_command_that_failed_is_not_taken_back(journal: UndoJournal) -> None:
    """Somebody else has made the link meanwhile: it is not doctor's to delete."""
    sh("ip link add first type veth peer name other")

    with pytest.raises(PlumbError, match="File exists") as refused:
        fix.apply(journal, [(finding(), link("first"))], {})

    assert refused.value.hint == "nothing else was changed"
    assert "first" in sh("ip -br link")


def test_an_undo_that_fails_can_be_tried_again(journal: UndoJournal) -> None:
    """The step stands, and stays on record."""
    step = RemedyStep(("true",), (("ip", "link", "del", "late"),))
    fix.apply(journal, [(finding(), Remedy((step,)))], {})
    for _ in range(2):
        with pytest.raises(PlumbError, match="Cannot find device"):
            fix.take_back(journal)

    sh("ip link add late type veth peer name other")
    assert fix.take_back(journal) == []
    assert "late" not in sh("ip -br link")


def test_nothing_that_outlives_a_boot_is_done() -> None:
    """An undo is forgotten at the next one; what lasts is for people."""
    lines = ["firewall-cmd --zone=trusted --add-interface=br0"]
    lines.append("firewall-cmd --permanent --zone=trusted --add-interface=br0")
    made = joined([remedies.opened(each) for each in lines])

    assert [str(step) for step in made.steps] == lines[:1]
    assert str(made) == "; ".join(lines)


def test_each_rule_of_nft_has_a_comment_of_its_own() -> None:
    """By which it is found again."""
    rules = [f"nft insert rule inet fw forward iifname br{n} accept" for n in (1, 2)]
    steps = [step for each in map(remedies.opened, rules) for step in each.steps]

    assert len({step.undo[0][-1] for step in steps}) == 2
    assert all(step.argv[-1] == step.undo[0][-1] for step in steps)


@pytest.mark.parametrize("after", ["the step", "its announcement"])
def test_a_fix_whose_process_was_killed_is_taken_back(
    lab: Lab, journal: UndoJournal, after: str
) -> None:
    """Written down before the first command: what was begun is known."""
    there = "ip link add second type veth peer name second0; " if after == "the step" else ""
    script = f"{there}kill -9 $PPID"
    made = Remedy(
        (*link("first").steps, RemedyStep(("sh", "-c", script), (("ip", "link", "del", "second"),)))
    )
    code = f"""
from tests.doctor.test_fix import finding
from plumb.doctor import fix, remedies
from plumb.kernel.diagnosis.undo_journal import UndoJournal
from plumb.model.diagnosis.remedy import *
made = {made!r}
fix.apply(UndoJournal({Layout.of(lab.root).fixes!r}), [(finding(made), made)], {{}})
"""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    died = subprocess.run([sys.executable, "-c", code], env=env, check=False)
    assert died.returncode == -signal.SIGKILL
    until(lambda: ("second" in sh("ip -br link")) == bool(there))
    assert "first" in sh("ip -br link")

    assert fix.take_back(journal) == []

    assert not {"first", "second"} & set(sh("ip -br link").replace("@", " ").split())
    assert journal.numbers() == []


def test_each_fix_has_a_number(journal: UndoJournal) -> None:
    """Any of them can be taken back."""
    first, second = (fix.apply(journal, [(finding(), link(name))], {}) for name in ("one", "two"))
    assert (first, second) == (1, 2)

    fix.take_back(journal, 1)

    shown = sh("ip -br link")
    assert "one" not in shown
    assert "two" in shown
    with pytest.raises(NotFound, match="no fix 1"):
        fix.take_back(journal, 1)
    fix.take_back(journal)


def test_nothing_is_taken_back_twice(journal: UndoJournal) -> None:
    """An undo is forgotten when it is done."""
    fix.apply(journal, [(finding(), link("one"))], {})
    fix.take_back(journal)
    with pytest.raises(NotFound, match="no fix to take back"):
        fix.take_back(journal)


def test_what_a_boot_has_taken_is_not_taken_back(
    journal: UndoJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel forgets links and rules."""
    fix.apply(journal, [(finding(), link("one"))], {})
    monkeypatch.setattr(fix, "boot_id", lambda: "another")
    assert "started again" in fix.take_back(journal)[0]
    assert "one" in sh("ip -br link")
