"""plumb's own record, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import PLUMB, Snapshot

SHOWN = 5


def drifted(snapshot: Snapshot) -> Iterator[Finding]:
    """Find differences between plumb's record and the kernel, as `plumb check` does."""
    if snapshot.drifts:
        more = len(snapshot.drifts) - SHOWN
        yield Finding(
            "plumb-drift",
            Grade.PROVEN,
            Severity.PROBLEM,
            f"{len(snapshot.drifts)} of plumb's own things are not as recorded",
            ("host",),
            (*snapshot.drifts[:SHOWN], *((f"and {more} more: plumb check",) if more > 0 else ())),
            "plumb made them otherwise, and somebody has changed or removed them since. What"
            " depends on them may not work.",
            (remedies.rebuild(PLUMB),),
        )


def unread(snapshot: Snapshot) -> Iterator[Finding]:
    """Say what could not be read: no fault of it would be seen."""
    said = [
        *snapshot.missing,
        *(
            f"{space.name}: {text}"
            for space in (snapshot.host, *snapshot.spaces)
            for text in space.unread
        ),
    ]
    if said:
        yield Finding(
            "not-read",
            Grade.PROVEN,
            Severity.WARNING,
            "a part of the host could not be read",
            ("host",),
            tuple(said[:SHOWN]),
            "Faults in it would not be found. No problem found elsewhere does not mean that there"
            " is none here.",
            ("run it as root, on the host itself (sudo plumb doctor)",),
        )
