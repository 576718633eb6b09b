"""Fault matrix: each fault is injected into a real lab, and a trace must find place and cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plumb.views import trace
from tests.trace.fault_lab import Bench, Benches
from tests.trace.faults import FAULTS, MACVLAN, NO_PROXY, Fault

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


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    """Bench for all faults of a firewall, one firewall after the other."""
    with Benches() as made:
        yield made


@pytest.mark.parametrize(("kind", "fault"), on_kinds(FAULTS))
def test_a_fault_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """The trace finds the last namespace, and the cause."""
    check(benches.of(kind), fault)


@pytest.mark.parametrize(("kind", "fault"), on_kinds(NO_PROXY))
def test_a_fault_of_nat_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """The same without the user-land proxy."""
    check(benches.of(kind, proxy=False), fault)


@pytest.mark.needs("macvlan")
@pytest.mark.parametrize("name", MACVLAN)
def test_a_fault_of_macvlan_is_found(benches: Benches, name: str) -> None:
    """The same with macvlan networks."""
    check(benches.of("nf_tables", "macvlan"), MACVLAN[name])


def check(lab: Bench, fault: Fault) -> None:
    """Inject a fault, trace, undo the fault, and compare."""
    try:
        lab.run(fault.inject)
        report = lab.trace(*fault.ask, fault.wishes)
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
