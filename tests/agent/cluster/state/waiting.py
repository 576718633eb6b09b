"""Waiting for a condition, with a deadline that a busy machine keeps."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE = 60.0


def until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait until a condition holds.

    Args:
        seconds: time after which the test fails.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
