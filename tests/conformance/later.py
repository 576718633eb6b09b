"""What plumb does not have yet.

The scenarios that cannot be played without it are skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

MISSING: Mapping[str, str] = {"overlay-*": "the overlay driver and the cluster come later"}


def missing(scenario: str) -> str:
    """Why that scenario cannot be played, empty if it can."""
    return next(
        (reason for pattern, reason in MISSING.items() if fnmatchcase(scenario, pattern)), ""
    )
