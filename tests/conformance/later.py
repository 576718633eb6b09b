"""Scenarios that plumb cannot play yet, and facts that it makes otherwise on purpose.

The first are skipped, the second left out of the comparison, each with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

MISSING: Mapping[str, str] = {"overlay-*": "the overlay driver and the cluster come later"}


def missing(scenario: str) -> str:
    """Why that scenario cannot be played, empty if it can."""
    return next(
        (reason for pattern, reason in MISSING.items() if fnmatchcase(scenario, pattern)), ""
    )


INTENDED: Mapping[str, re.Pattern[str]] = {
    # c2 shares c1's network stack, and moves into the new one (docs/differences.md): its server
    # answers there in place of c1's.
    "found-shared-restart": re.compile(r"\bc2\b|/tcp: c1 saw|tcp/80: c1 saw"),
    # The port of the tunnels is closed to all but other nodes.
    "overlay-*": re.compile(r"(PLUMB|DOCKER)-OVERLAY|vxlan-in"),
}


def intended(scenario: str, fact: str) -> bool:
    """True if a fact of that scenario differs from Docker's on purpose."""
    return any(
        fnmatchcase(scenario, name) and facts.search(fact) is not None
        for name, facts in INTENDED.items()
    )
