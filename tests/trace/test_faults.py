"""Fault matrix: each fault is injected into a real lab, and a trace must find place and cause."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plumb.trace import collect_state
from plumb.trace.path import Ending
from plumb.trace.probe_packet import Probe
from plumb.trace.report import Report, Wishes
from plumb.views import trace
from tests.labs import sh
from tests.trace.fault_lab import Bench, Benches
from tests.trace.faults import FAULTS, MACVLAN, NO_PROXY, Fault
from tests.trace.neighbour_faults import NEIGHBOUR_FAULTS

# python-iptables leaves files open where it has to load the legacy tables' modules first.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
KINDS = ("nf_tables", "legacy", "nftables")


def on_kinds(faults: Mapping[str, Fault]) -> list[Any]:
    """Faults with the firewalls that allow them, one firewall after the other."""
    return [
        pytest.param(kind, fault, id=f"{name}-{kind}")
        for kind in KINDS
        for name, fault in faults.items()
        if kind in fault.kinds
    ]


def on_one_kind(faults: Mapping[str, Fault]) -> list[Any]:
    """Faults with the first firewall that allows them."""
    return [
        pytest.param(fault.kinds[0], fault, id=f"{name}-{fault.kinds[0]}")
        for name, fault in faults.items()
    ]


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    """Bench for all faults of a firewall, one firewall after the other."""
    with Benches() as made:
        yield made


@pytest.mark.sampled(3, "fault")
@pytest.mark.parametrize(("kind", "fault"), on_kinds(FAULTS | NEIGHBOUR_FAULTS))
def test_a_fault_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """The trace finds the last namespace, and the cause."""
    check(benches.of(kind), fault)


def test_a_packet_that_waits_for_a_neighbour_is_followed(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that answers late is no cause: what comes after its answer is watched."""
    lab, awaited = benches.of("nf_tables"), collect_state.awaited
    solicit = "{c1} sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=%s"
    solicit += " net.ipv4.neigh.eth0.mcast_solicit=%s; "

    def answered(*asked: Any) -> str:
        lab.run("ip link set {br1} arp on")
        return awaited(*asked)

    monkeypatch.setattr(collect_state, "awaited", answered)
    flush = "ip link set {br1} arp off; {c1} ip neigh flush dev eth0"
    try:
        lab.run(solicit % (100, 600) + flush)
        report = lab.trace("c1", "198.51.100.1", Wishes(seconds=0.3))
    finally:
        lab.run("ip link set {br1} arp on; " + solicit % (1000, 3))
    assert report.good, "\n".join(row.text for row in trace.rows(report))


def test_a_packet_that_a_busy_kernel_sends_late_is_waited_for(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing holds it back, so it is no fault: the first two are on no link in their time."""
    lab, send, asked = benches.of("nf_tables"), Probe.send, []

    def late(probe: Probe) -> None:
        asked.append(probe)
        if len(asked) > 2:
            send(probe)

    monkeypatch.setattr(Probe, "send", late)
    report = lab.trace("c1", "198.51.100.1", Wishes(seconds=0.2))
    assert report.good, "\n".join(row.text for row in trace.rows(report))


@pytest.mark.parametrize(("kind", "fault"), on_kinds(NO_PROXY))
def test_a_fault_of_nat_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """The same without the user-land proxy."""
    check(benches.of(kind, proxy=False), fault)


@pytest.mark.needs("macvlan")
@pytest.mark.parametrize("name", MACVLAN)
def test_a_fault_of_macvlan_is_found(benches: Benches, name: str) -> None:
    """The same with macvlan networks."""
    check(benches.of("nf_tables", "macvlan"), MACVLAN[name])


def traced(lab: Bench, fault: Fault) -> Report:
    """Trace, once the kernel has room for the neighbours that the packet needs.

    Its neighbour table is one for all workers; what fills it is given up after five seconds.
    """
    deadline = time.monotonic() + 60
    while True:
        report = lab.trace(*fault.ask, fault.wishes)
        full = report.cause is not None and report.cause.id == "neighbour-table-full"
        if not full or time.monotonic() > deadline:
            return report


def check(lab: Bench, fault: Fault) -> None:
    """Inject a fault, trace, undo the fault, and compare."""
    try:
        lab.run(fault.inject)
        report = traced(lab, fault)
    finally:
        lab.run(fault.undo)
    text = "\n".join(row.text for row in trace.rows(report))
    found = report.cause or (report.after.cause if report.after else None)
    place = report.story.end.place

    assert found is not None, text
    assert (found.id, found.sure) == (fault.cause, fault.sure), text
    assert place is not None, text
    assert place.name in fault.place.split("|"), text
    assert fault.says in text, text


# -- remedies ---------------------------------------------------------------

COMMANDS = ("ip ", "bridge ", "nft ", "sysctl ", "conntrack ", "nsenter ", "iptables", "ip6tables")


@pytest.mark.sampled(4, "kind")
@pytest.mark.parametrize(("kind", "fault"), on_one_kind(FAULTS | NEIGHBOUR_FAULTS))
def test_every_remedy_mends(benches: Benches, kind: str, fault: Fault) -> None:
    """Each command that the trace prints, pasted into a shell: the probe passes afterwards."""
    mend(benches.of(kind), fault)


@pytest.mark.parametrize(("kind", "fault"), on_one_kind(NO_PROXY))
def test_every_remedy_of_nat_mends(benches: Benches, kind: str, fault: Fault) -> None:
    """The same without the user-land proxy."""
    mend(benches.of(kind, proxy=False), fault)


def mend(lab: Bench, fault: Fault) -> None:
    """Inject the fault anew for each of its remedies, apply that one, and trace again."""
    if not fault.mends:
        pytest.skip("its remedies are no commands, or not enough by themselves")
    number = 0
    while True:
        try:
            lab.run(fault.inject)
            remedies = printed(traced(lab, fault))
            if number >= len(remedies):
                return
            apply(lab, fault, remedies[number])
            report = patiently(lab, fault)
        finally:
            lab.undo(fault.undo)
        take_back(lab, remedies[number])
        assert passes(report), "\n".join(
            [f"after: {remedies[number]}", *(row.text for row in trace.rows(report))]
        )
        number += 1


def printed(report: Report) -> list[str]:
    """Remedies of a report that a shell can run."""
    found = report.cause or (report.after.cause if report.after else None)
    remedies = found.remedies if found else ()
    return [
        each
        for each in remedies
        if each == "plumb repair" or (each.startswith(COMMANDS) and shutil.which(each.split()[0]))
    ]


def apply(lab: Bench, fault: Fault, remedy: str) -> None:
    """Run a remedy on the host, or where its comment says."""
    if remedy == "plumb repair":
        lab.host.repair()
    else:
        where = fault.where.format(**lab.names) if "    # in the namespace" in remedy else ""
        sh(f"{where} {remedy}")


def passes(report: Report) -> bool:
    """An answer came; a port of the internet's that nobody has refuses, and that is one."""
    return report.good or report.story.end.ending is Ending.REFUSED


def patiently(lab: Bench, fault: Fault) -> Report:
    """Trace until the packet passes, for the time that neighbours and links need to come up."""
    deadline = time.monotonic() + 10
    while True:
        report = traced(lab, fault)
        if passes(report) or time.monotonic() > deadline:
            return report


def take_back(lab: Bench, remedy: str) -> None:
    """Delete the rules that a remedy has added, and restore what is plumb's."""
    for command in remedy.split(" && "):
        if " -I " in command or " -A " in command:
            sh(re.sub(r" -[IA] ", " -D ", command, count=1), check=False)
        elif " route replace 203" in command:
            sh(command.replace(" replace ", " del "), check=False)
    lab.host.repair()
