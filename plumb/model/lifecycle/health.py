"""Health of a container: results of its checks, and the status that follows, by Docker's rules.

A state is what Docker's API has in `.State.Health`, as a mapping: so it goes from the agent, which
carries the checks out, to `inspect` as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from plumb.model.lifecycle import Health, HealthCheck

STARTING, HEALTHY, UNHEALTHY, NONE = "starting", "healthy", "unhealthy", "none"
INTERVAL, TIMEOUT, START_INTERVAL = 30.0, 30.0, 5.0
"""Docker's defaults, in seconds."""
RETRIES = 3
RESULTS = 5
"""Results that are kept."""
OUTPUT = 4096
"""Bytes of a check's output that are kept."""
NO_ANSWER = -1
"""Exit code of a check that had to be killed, or that could not be started."""


def starting(before: Health | None = None) -> Health:
    """Begin the state of a container that was started; earlier results stay in its log."""
    return {"Status": STARTING, "FailingStreak": 0, "Log": list(before["Log"]) if before else []}


def ended(before: Health) -> Health:
    """Return the state of a container whose checks have ended; Docker calls it unhealthy."""
    return {**before, "Status": UNHEALTHY}


def after(
    before: Health, check: HealthCheck, running: float, code: int, result: dict[str, Any]
) -> Health:
    """Return the state after a check.

    Args:
        before: the state so far.
        check: what was asked for.
        running: seconds from the container's start to the check's.
        code: the check's exit code; 0 is healthy, anything else a failure.
        result: its line of the log, as `result` makes it.
    """
    log = [*before["Log"][-(RESULTS - 1) :], result]
    if code == 0:
        return {"Status": HEALTHY, "FailingStreak": 0, "Log": log}
    streak, status = before["FailingStreak"], before["Status"]
    if status != STARTING or running >= check.start_period:
        streak += 1
        if streak >= (check.retries or RETRIES):
            status = UNHEALTHY
    return {"Status": status, "FailingStreak": streak, "Log": log}


def result(start: float, end: float, code: int, output: bytes) -> dict[str, Any]:
    """Make the line of the log for a check.

    Args:
        start, end: seconds since the epoch.
        code: its exit code.
        output: what it has printed, perhaps more than is kept.
    """
    text = output[:OUTPUT].decode(errors="replace")
    return {
        "Start": _time(start),
        "End": _time(end),
        "ExitCode": code,
        "Output": text + ("..." if len(output) > OUTPUT else ""),
    }


def _time(seconds: float) -> str:
    found = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return found.replace("+00:00", "Z")


def pause(check: HealthCheck, status: str, running: float) -> float:
    """Return the seconds until the next check.

    Args:
        check: what was asked for.
        status: the present one.
        running: seconds since the container's start.
    """
    if status == STARTING and running < check.start_period:
        return check.start_interval or START_INTERVAL
    return check.interval or INTERVAL


def configured(check: HealthCheck) -> dict[str, Any]:
    """Docker's `.Config.Healthcheck`: times in nanoseconds, nothing of what was not given."""
    if check.disabled:
        return {"Test": ["NONE"]}
    given: dict[str, Any] = {"Test": ["CMD-SHELL", check.command]} if check.command else {}
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    given.update({name: round(value * 1e9) for name, value in times.items() if value})
    return {**given, **({"Retries": check.retries} if check.retries else {})}
