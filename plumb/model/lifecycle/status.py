"""State of a container as Docker shows it: the STATUS of `ps`, and `inspect`'s State."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import NEVER, Health
from plumb.model.lifecycle.health import NONE, STARTING

MINUTE, HOUR, DAY = 60, 3600, 86400
ALIVE = (Status.RUNNING, Status.RESTARTING)
"""States that Docker calls running."""


def state(box: Sandbox, pid: int, health: Health | None) -> dict[str, Any]:
    """Docker's `.State`.

    Args:
        pid: of its command, 0 if none runs.
        health: what its checks have found, None without one.
    """
    return {
        "Status": str(box.status),
        "Running": box.status in ALIVE,
        "Paused": False,
        "Restarting": box.status is Status.RESTARTING,
        "OOMKilled": False,
        "Dead": False,
        "Pid": pid,
        "ExitCode": box.exit_code,
        "Error": box.error,
        "StartedAt": box.started or NEVER,
        "FinishedAt": box.finished or NEVER,
        **({"Health": health} if health else {}),
    }


def health_status(box: Sandbox, health: Health | None) -> str:
    """Status of a container's health: starting, healthy, unhealthy, or none."""
    if health is not None:
        return str(health["Status"])
    return STARTING if box.health.command and box.status is Status.RUNNING else NONE


def shown(box: Sandbox, health: Health | None = None, now: datetime | None = None) -> str:
    """Docker's STATUS: `Up 3 seconds (healthy)`, `Exited (0) 2 minutes ago`.

    Args:
        health: what its checks have found, None without one.
        now: the present; None: the clock's.
    """
    now = now or datetime.now(UTC)
    match box.status:
        case Status.CREATED:
            return "Created"
        case Status.RUNNING:
            return f"Up {_since(box.started, now)}{_in_brackets(health_status(box, health))}"
        case Status.RESTARTING:
            return f"Restarting ({box.exit_code}) {_since(box.finished, now)} ago"
        case Status.EXITED:
            return f"Exited ({box.exit_code}) {_since(box.finished, now)} ago"


def _in_brackets(health: str) -> str:
    return {NONE: "", STARTING: " (health: starting)"}.get(health, f" ({health})")


def _since(moment: str, now: datetime) -> str:
    return human((now - datetime.fromisoformat(moment)).total_seconds()) if moment else ""


def human(seconds: float) -> str:
    """Say a length of time as Docker does: 3 seconds, About a minute, 5 hours, 2 weeks."""
    hours = int(seconds / HOUR + 0.5)
    days = hours // 24
    if seconds < 1:
        return "Less than a second"
    if seconds < MINUTE:
        return f"{int(seconds)} second{'s' * (int(seconds) > 1)}"
    if seconds < HOUR:
        return "About a minute" if seconds < 2 * MINUTE else f"{int(seconds / MINUTE)} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for unit, size, most in (("days", 1, 14), ("weeks", 7, 60), ("months", 30, 730)):
        if days < most:
            return f"{days // size} {unit}"
    return f"{days // 365} years"
