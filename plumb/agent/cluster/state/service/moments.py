"""Moments as RFC 3339 has them, and as seconds since the epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime

FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def text(seconds: float) -> str:
    """A moment as Docker writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime(FORM)


def seconds(moment: str) -> float:
    """Seconds since the epoch, 0 of an empty text."""
    if not moment:
        return 0.0
    return datetime.strptime(moment, FORM).replace(tzinfo=UTC).timestamp()


def now() -> str:
    """The present moment."""
    return text(time.time())
