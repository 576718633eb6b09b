"""Health checks and delayed starts of an agent, loaded with the first of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plumb.agent.descriptors import Budget
from plumb.agent.loop import Loop
from plumb.agent.supervision.delayed_starts import DelayedStarts
from plumb.agent.supervision.health_checks import HealthChecks
from plumb.kernel.agent_verbs import HEALTH_VERBS


class Supervisor:
    """Supervision by an agent of containers' commands.

    Args:
        loop: the agent's.
        budget: the process's descriptors.
    """

    def __init__(self, loop: Loop, budget: Budget) -> None:
        self.checks, self.starts = HealthChecks(loop, budget), DelayedStarts(loop)

    def parsed(self, verb: str, *row: Any) -> Callable[[], None]:
        """Validate a row of a request, and return the action that carries it out.

        Raises:
            ValueError, TypeError, KeyError: the row is not valid.
        """
        parse = self.checks.parsed if verb in HEALTH_VERBS else self.starts.parsed
        return parse(verb, *row)
