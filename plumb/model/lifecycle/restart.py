"""Restart policies: who is started again, and after which back-off, by Docker's rules."""

from __future__ import annotations

import re

from plumb.errors import Invalid
from plumb.model.lifecycle import Restart, RestartPolicy, Restarts

FIRST, MOST = 0.1, 60.0
"""Seconds of the first back-off, and of the longest; each is twice the one before."""
STEADY = 10.0
"""Seconds of running after which the back-off begins at the first again."""


def policy(text: str) -> RestartPolicy:
    """Parse the value of `--restart`: no, always, unless-stopped, on-failure[:N].

    Raises:
        Invalid: it is none, with Docker's words.
    """
    name, colon, number = text.partition(":")
    if colon and not name:
        raise Invalid("invalid restart policy format: no policy provided before colon")
    if colon and not re.fullmatch(r"-?\d{1,9}", number):
        raise Invalid("invalid restart policy format: maximum retry count must be an integer")
    if name not in [*map(str, Restart), ""]:
        raise Invalid(
            f"invalid restart policy: unknown policy '{name}'; use one of "
            "'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    found = RestartPolicy(Restart(name or "no"), int(number or 0))
    if found.maximum and found.name is not Restart.ON_FAILURE:
        raise Invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if found.maximum < 0:
        raise Invalid("invalid restart policy: maximum retry count cannot be negative")
    return found


def again(asked: RestartPolicy, so_far: Restarts, code: int, lasted: float) -> Restarts | None:
    """Return the restarts with the one that is due; None if the command is not started again.

    Args:
        asked: the policy.
        so_far: restarts since the user's own start.
        code: the exit code of the command.
        lasted: seconds that it ran.
    """
    if so_far.stopped:
        return None
    match asked.name:
        case Restart.NO:
            return None
        case Restart.ON_FAILURE if code == 0 or 0 < asked.maximum <= so_far.count:
            return None
    before = 0.0 if lasted >= STEADY else so_far.back_off
    return Restarts(so_far.count + 1, min(before * 2, MOST) or FIRST)


def after_boot(asked: RestartPolicy, so_far: Restarts) -> bool:
    """True if a container that was running, or that the user has stopped, starts with the host."""
    if asked.name is Restart.UNLESS_STOPPED:
        return not so_far.stopped
    return asked.name is Restart.ALWAYS
