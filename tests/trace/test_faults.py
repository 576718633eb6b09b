"""The fault matrix.

Each fault is put into a real lab, and the trace must name where it ended, and why.
"""

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
    """Each fault with each firewall that it can be had with, one firewall after the other."""
    return [
        pytest.param(kind, fault, id=f"{name}-{kind}")
        for kind in KINDS
        for name, fault in faults.items()
        if kind in fault.kinds
    ]


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    """One bench for all faults of a kind, one kind after the other."""
    with Benches() as made:
        yield made


@pytest.mark.parametrize(("kind", "fault"), on_kinds(FAULTS))
def test_a_fault_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """The trace names the place where it ended, and the cause."""
    check(benches.of(kind), fault)


@pytest.mark.parametrize(("kind", "fault"), on_kinds(NO_PROXY))
def test_a_fault_of_nat_is_found(benches: Benches, kind: str, fault: Fault) -> None:
    """Without the user-land proxy, too."""
    check(benches.of(kind, proxy=False), fault)


@pytest.mark.needs("macvlan")
@pytest.mark.parametrize("name", MACVLAN)
def test_a_fault_of_macvlan_is_found(benches: Benches, name: str) -> None:
    """With macvlan networks, too."""
    check(benches.of("nf_tables", "macvlan"), MACVLAN[name])


def check(lab: Bench, fault: Fault) -> None:
    """Put a fault in, ask, take it back, and compare."""
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
