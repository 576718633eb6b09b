"""A container's life: its state, its health checks and its automatic restarts, by Docker's rules.

What a sandbox records of it is here.

events       what becomes of containers and networks, in Docker's words
durations    Go's spelling of durations, 1m30s
moments      points in time: dates, Unix times, how long ago
status       state of a container as Docker shows it
health       results of health checks, and the status that follows from them
log_drivers  logging drivers and their options
signals      signals by name and number
restart      restart policies, and the back-off between two starts
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from plumb.frozen import frozen

Health = dict[str, Any]
"""Docker's .State.Health, as it is in its API."""
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time."""


class Restart(StrEnum):
    """Names of Docker's restart policies."""

    NO = "no"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"
    ON_FAILURE = "on-failure"


@frozen
class RestartPolicy:
    """Rule by which a command that has ended is started again.

    Attributes:
        name: the policy.
        maximum: of on-failure, automatic starts at most; 0: no limit.
    """

    name: Restart = Restart.NO
    maximum: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.maximum}" if self.maximum else str(self.name)


@frozen
class Restarts:
    """Automatic restarts of a container since the user started it.

    Attributes:
        count: how many there were.
        back_off: seconds before the last one.
        stopped: the user has stopped or killed it, so that it is not started again.
    """

    count: int = 0
    back_off: float = 0.0
    stopped: bool = False


@frozen
class HealthCheck:
    """Command that tells whether a container works, and how often it is run.

    Attributes:
        command: a line for the shell; empty: there is no check.
        disabled: the user has asked for none (--no-healthcheck).
        interval, timeout, start_period, start_interval: seconds; 0: Docker's default.
        retries: failures in a row that make it unhealthy; 0: Docker's default.
    """

    command: str = ""
    disabled: bool = False
    interval: float = 0.0
    timeout: float = 0.0
    retries: int = 0
    start_period: float = 0.0
    start_interval: float = 0.0


@frozen
class CommandOptions:
    """Options of a container's command.

    Attributes:
        user: NAME|UID[:GROUP|GID]; empty: root.
        working_dir: the folder that it starts in; empty: /.
        init: it has a small init above it, which passes signals on and reaps.
        stop_signal: the name or number of the signal that asks it to end; empty: SIGTERM.
        stop_timeout: seconds until it is killed after that; None: ten.
    """

    user: str = ""
    working_dir: str = ""
    init: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None


@frozen
class LogOptions:
    """Logging driver of a container, where it is not json-file, and the driver's options.

    Attributes:
        driver: "json-file", "local", "none", "syslog" or "fluentd".
        options: what was given with --log-opt for a driver that is not json-file.
    """

    driver: str = "json-file"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def readable(self) -> bool:
        """True if lines are kept on this host, so that `logs` can print them."""
        return self.driver != "none" and ("cache-disabled", "true") not in self.options
