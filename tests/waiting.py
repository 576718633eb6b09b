"""Waiting for a condition, with a deadline that a busy machine keeps."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE = 120.0
"""Seconds that a condition may take on a machine that does ten other things."""


def until(
    condition: Callable[[], object],
    what: str | Callable[[], object] = "it did not come",
    seconds: float = DEADLINE,
) -> float:
    """Wait until a condition holds, and fail when it does not come.

    Args:
        what: what is waited for, or a function that returns what there is in its place.
        seconds: time after which the test fails.

    Returns:
        Seconds that it took.
    """
    began = time.monotonic()
    while not condition():
        late = time.monotonic() - began > seconds
        assert not late, f"waited {seconds:g} s in vain: {what() if callable(what) else what}"
        time.sleep(0.01)
    return time.monotonic() - began
