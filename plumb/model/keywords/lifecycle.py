"""Keywords of a container's life: restart policy, health check, options of its command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plumb.errors import Invalid
from plumb.model.keywords.values import flag, text
from plumb.model.lifecycle import CommandOptions, HealthCheck, RestartPolicy, restart, signals
from plumb.model.lifecycle.durations import duration

HEALTH = {
    "health_cmd": "command",
    "health_interval": "interval",
    "health_timeout": "timeout",
    "health_retries": "retries",
    "health_start_period": "start_period",
    "health_start_interval": "start_interval",
    "no_healthcheck": "disabled",
}
"""Keywords of a health check, and the field that each is."""
COMMAND = ("stop_signal", "stop_timeout", "user", "working_dir", "init")
"""Keywords that are options of the command by the same name."""
SHORTEST = 0.001
"""Seconds that Docker's daemon takes at least."""


def parsed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the keywords of this module among those of a container; return the sandbox's fields.

    Raises:
        Invalid: a value makes no sense, or they do not go together.
    """
    read = {key: parse(options[key], key) for key, parse in PARSERS.items() if key in options}
    given = {field: read.pop(key) for key, field in HEALTH.items() if key in read}
    check = HealthCheck(**given)
    if check.disabled and check != HealthCheck(disabled=True):
        raise Invalid("--no-healthcheck conflicts with --health-* options")
    if options.get("auto_remove") and read.get("restart", RestartPolicy()) != RestartPolicy():
        raise Invalid("conflicting options: cannot specify both --restart and --rm")
    command = CommandOptions(**{key: read.pop(key) for key in COMMAND if key in read})
    found = {**read, "command": command} if command != CommandOptions() else read
    return {**found, **({"health": check} if given else {})}


def _seconds(value: object, what: str) -> float:
    """Seconds as a number, or a duration in Go's spelling.

    Raises:
        Invalid: it is neither, or shorter than a millisecond and not 0.
    """
    flag_name = f"--{what.replace('_', '-')}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = duration(text(value, what), flag_name)
    if seconds < 0:
        raise Invalid(f"{flag_name} cannot be negative")
    if 0 < seconds < SHORTEST:
        name = what.removeprefix("health_").replace("_", " ").title().replace(" ", "")
        raise Invalid(f"{name} in Healthcheck cannot be less than 1ms")
    return seconds


def _retries(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{what} is a whole number, not {value!r}")
    if value < 0:
        raise Invalid(f"--{what.replace('_', '-')} cannot be negative")
    return value


def _stop_signal(value: object, what: str) -> str:
    name = text(value, what)
    if name:
        signals.number(name)
    return name


def _stop_timeout(value: object, what: str) -> int | None:
    """Seconds; those below 0 mean that the command is never killed."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{what} is a whole number, not {value!r}")
    return value


def _folder(value: object, what: str) -> str:
    folder = text(value, what)
    if folder and not folder.startswith("/"):
        raise Invalid(
            f"the working directory '{folder}' is invalid, it needs to be an absolute path"
        )
    return folder


PARSERS: dict[str, Callable[[object, str], Any]] = {
    "restart": lambda value, what: restart.policy(text(value, what)),
    "health_cmd": text,
    "health_interval": _seconds,
    "health_timeout": _seconds,
    "health_retries": _retries,
    "health_start_period": _seconds,
    "health_start_interval": _seconds,
    "no_healthcheck": flag,
    "stop_signal": _stop_signal,
    "stop_timeout": _stop_timeout,
    "user": text,
    "working_dir": _folder,
    "init": flag,
}
"""Parsers of the keywords, as in the parent's table."""
