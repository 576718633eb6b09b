"""Points in time, in the forms that Docker's --since, --until and `--filter until=` take."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from plumb.errors import Invalid
from plumb.model.lifecycle.durations import duration

UNIX_TIME = re.compile(r"(\d+)(?:\.(\d{1,9}))?")
DATE = re.compile(r"(\d{4}-\d\d-\d\d[^.,]*?)(?:[.,](\d{1,9})\d*)?(Z|[-+]\d\d:?\d\d)?")
"""A date with or without a time of day; a fraction of a second; a time zone."""
EARLIEST, LATEST = -62135596800 * 10**9, 253402300799 * 10**9
"""The years 1 and 9999, which dates can have."""


def moment(text: str, now: int, what: str) -> int:
    """Parse a point in time into nanoseconds since 1970, between EARLIEST and LATEST.

    Args:
        text: a date as of RFC 3339, in the host's time zone where it names none and with as much of
            the time of day as one likes; seconds since 1970, with a fraction or without; how long
            ago, as Go writes durations: 1h30m, or -5h for what is to come.
        now: nanoseconds since 1970.
        what: `filter 'until=x'`, for the message.

    Raises:
        Invalid: it is none of them.
    """
    try:
        at = now - round(duration(text, what) * 1e9)
    except (Invalid, OverflowError):
        at = _absolute(text, what)
    return max(EARLIEST, min(LATEST, at))


def _absolute(text: str, what: str) -> int:
    try:
        if unix := UNIX_TIME.fullmatch(text):
            return int(unix[1]) * 10**9 + _nanoseconds(unix[2])
        return _date(text)
    except (ValueError, OverflowError):  # ValueError also of thousands of digits
        raise Invalid(
            f'failed to parse value as time or duration: invalid seconds "{text}": invalid syntax',
            f"{what}: a date like 2026-01-31T12:00:00, a Unix time, or how long ago, like 24h",
        ) from None


def _date(text: str) -> int:
    parts = DATE.fullmatch(text)
    if parts is None:
        raise ValueError(text)
    whole, fraction, zone = parts.groups()
    when = datetime.fromisoformat(whole)
    zoned = when.astimezone() if zone is None else when.replace(tzinfo=_zone(zone))
    return int(zoned.timestamp()) * 10**9 + _nanoseconds(fraction)


def _zone(text: str) -> tzinfo | None:
    return UTC if text == "Z" else datetime.strptime(text, "%z").tzinfo


def _nanoseconds(fraction: str | None) -> int:
    return int(f"{fraction or 0:0<9}")
