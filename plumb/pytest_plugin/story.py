"""The story of a question: the one place where this plugin asks plumb's tracer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plumb.pytest_plugin.values import Found

if TYPE_CHECKING:
    from plumb.pytest_plugin.labs import Lab


def story_of(lab: Lab, found: Found) -> str:
    """Why it went as it did, as far as that can still be found out: the lab must be alive.

    The same question is asked once more, and watched on every link that it passes.
    """
    try:
        told: str = lab.ask("tell", found.asked)
    except Exception as error:
        return f"  (its story could not be told: {str(error).strip().splitlines()[-1]})"
    return told
