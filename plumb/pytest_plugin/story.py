"""The story of a question: the one place where this plugin asks plumb's tracer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plumb.pytest_plugin.values import Found


def story_of(ask: Callable[..., Any], found: Found) -> str:
    """Why it went as it did, as far as that can still be found out: the lab must be alive.

    The same question is asked once more, and watched on every link that it passes.

    Args:
        ask: `Lab.ask` of its lab.
    """
    try:
        told: str = ask("tell", found.asked)
    except Exception as error:
        return f"  (its story could not be told: {str(error).strip().splitlines()[-1]})"
    return told
