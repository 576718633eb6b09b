"""Moments: points in time, as Docker's command line writes them."""

from __future__ import annotations

from datetime import UTC, datetime


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
