"""Supervision of a container's command by the agent: health checks, start after a back-off."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import Key, Stage
from plumb.things.host_ports import OfAgent
from plumb.things.sandbox import OfStart, Process


@frozen
class HealthProbe(OfAgent, OfStart):
    """Command that the agent runs in a container again and again, to see that it works.

    Attributes:
        agent: the agent's folder.
        id: the container's id.
        process: the check's command; its folder has the pid file of the container's own.
        follows: the container has a command of its own, whose namespaces the check joins.
        interval, timeout, start_period, start_interval: seconds; 0: Docker's default.
        retries: failures in a row that make the container unhealthy; 0: Docker's default.
        start: the number of the container's start that it is of.
    """

    stage: ClassVar = Stage.SUPERVISION
    agent: str
    id: str
    process: Process
    follows: bool = True
    interval: float = 0.0
    timeout: float = 0.0
    retries: int = 0
    start_period: float = 0.0
    start_interval: float = 0.0
    start: int = 0

    @cached_property
    def key(self) -> Key:
        return ("health", self.id)

    def __str__(self) -> str:
        return f"health check of {self.id[:12]}"


@frozen
class DelayedStart(OfAgent, OfStart):
    """Start of a container whose command has ended, after a back-off.

    Attributes:
        agent: the agent's folder.
        id: the container's id.
        seconds: the back-off.
        start: the number of the start that has ended.
        root, config: of the plumb that starts it.
    """

    stage: ClassVar = Stage.SUPERVISION
    agent: str
    id: str
    seconds: float
    start: int = 0
    root: str = ""
    config: str = ""

    @cached_property
    def key(self) -> Key:
        return ("delayed-start", self.id)

    def __str__(self) -> str:
        return f"start of {self.id[:12]} in {self.seconds:g} s"
