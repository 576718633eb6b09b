"""The story of a request: the only module of this plugin that calls plumb's tracer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plumb.pytest_plugin.values import Found


def story_of(ask: Callable[..., Any], found: Found) -> str:
    """Reason why a request ended as it did, as far as it can still be found: the lab must be alive.

    The tracer sends the same request once more, and watches it on every link that it passes.

    The same question is asked once more, and watched on every link that it passes.

    Args:
        ask: `Lab.ask` of its lab.
    """
    try:
        text: str = ask("tell", found.asked)
    except Exception as error:
        return f"  (its story could not be told: {str(error).strip().splitlines()[-1]})"
    return text
