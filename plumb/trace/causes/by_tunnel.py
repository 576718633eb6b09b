"""Causes at an overlay network's VXLAN link: no entry for the other host, or a loss behind it."""

from __future__ import annotations

from plumb.trace.causes.case import Case, Cause
from plumb.trace.path import Ending, Tunnelled


def find(case: Case) -> Cause | None:
    """Find what became of a packet that left by a VXLAN link."""
    steps = case.story.ways[case.end.way]
    last = steps[-1] if steps else None
    if not isinstance(last, Tunnelled) or last.inbound or not case.gone:
        return None
    return _without_entry(last) if last.dst is None else _behind(case, last)


def _without_entry(step: Tunnelled) -> Cause:
    return Cause(
        "no-fdb-entry",
        f"{step.dev} does not know which host has {step.mac}",
        (f"{step.place.name}: bridge fdb: no entry of {step.mac} dev {step.dev} with a dst",),
        ("plumb repair",),
    )


def _behind(case: Case, step: Tunnelled) -> Cause | None:
    if case.end.ending is not Ending.LOST or step.dst is None:
        return None
    return Cause(
        "behind-vxlan",
        f"it is lost between this host and {step.dst}, or there",
        (f"{step.place.name}: bridge fdb: {step.mac} dev {step.dev} dst {step.dst}",),
        ("plumb check --peers", f"plumb check, on the host that has {step.dst}"),
        sure=False,
    )
