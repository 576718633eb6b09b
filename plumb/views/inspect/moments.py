"""Moments: points in time and durations, as Docker's command line writes them."""

from __future__ import annotations

from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"


def age(moment: str, now: datetime) -> str:
    """Time since a moment: "About a minute", "3 hours"."""
    return duration((now - datetime.fromisoformat(moment)).total_seconds())


def duration(seconds: float) -> str:
    """A duration in words, with one unit: Docker's HumanDuration."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 2:
        return "1 second"
    if seconds < 60:
        return f"{int(seconds)} seconds"
    if seconds < 120:
        return "About a minute"
    hours = int(seconds / 3600 + 0.5)
    if seconds < 3600:
        return f"{int(seconds / 60)} minutes"
    if hours == 1:
        return "About an hour"
    for limit, unit, length in UNITS:
        if hours < limit:
            return f"{hours // length} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"


UNITS = (
    (48, "hours", 1),
    (24 * 7 * 2, "days", 24),
    (24 * 30 * 2, "weeks", 24 * 7),
    (24 * 365 * 2, "months", 24 * 30),
)


def go_time(moment: str) -> str:
    """A point in time as Go's Time prints: "2026-11-29 14:41:21.5 +0000 UTC"."""
    if not moment:
        return ""
    found = datetime.fromisoformat(moment).astimezone(UTC)
    fraction = f"{found.microsecond:06d}".rstrip("0")
    return f"{found:%Y-%m-%d %H:%M:%S}{'.' if fraction else ''}{fraction} +0000 UTC"


def go_seconds(moment: str) -> str:
    """The same in whole seconds."""
    return go_time(datetime.fromisoformat(moment).replace(microsecond=0).isoformat())
