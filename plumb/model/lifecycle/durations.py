"""Durations in Go's spelling, as Docker's flags and messages have them: 300ms, 1.5s, 1m30s."""

from __future__ import annotations

import re

from plumb.errors import Invalid

MICRO, MU = "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s"
UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    MICRO: 1e-6,
    MU: 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
"""Units and the seconds of each."""
_PART = re.compile(rf"(\d+\.?\d*|\.\d+)({'|'.join(UNITS)})")
_WHOLE = re.compile(f"[-+]?(0|({_PART.pattern})+)")


def duration(text: str, what: str) -> float:
    """Parse a duration into seconds.

    Args:
        text: Go's spelling, as 1m30s.
        what: the flag or keyword, for the message.

    Raises:
        Invalid: it is none.
    """
    if not _WHOLE.fullmatch(text):
        missing = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", text)
        raise Invalid(
            f'invalid argument "{text}" for "{what}" flag: '
            f'time: {"missing unit in" if missing else "invalid"} duration "{text}"',
            "as 500ms, 10s, 1m30s",
        )
    seconds = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    return -seconds if text.startswith("-") else seconds


def spelt(seconds: float) -> str:
    """Spell a duration as Go's Duration.String: 0s, 300ms, 1.5s, 1m30s, 2h0m0s."""
    nanoseconds = round(seconds * 1e9)
    if nanoseconds < 0:
        return f"-{spelt(-seconds)}"
    for unit, size in (("ns", 1), (MICRO, 1000), ("ms", 1_000_000)):
        if 0 < nanoseconds < size * 1000:
            return f"{_trimmed(nanoseconds / size)}{unit}"
    hours, rest = divmod(nanoseconds, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    parts = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{parts}{_trimmed(rest / 1e9)}s"


def _trimmed(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")
