"""Health checks of containers: when each is due, and what they have found."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from plumb.agent.descriptors import Budget
from plumb.agent.loop import Loop, Timer
from plumb.agent.supervision.probe import Probe
from plumb.kernel.agent_verbs import CHECK
from plumb.kernel.events import journal
from plumb.kernel.process import health_file
from plumb.kernel.process.commands import alive
from plumb.model.lifecycle import Health, HealthCheck, health
from plumb.model.lifecycle.durations import spelt
from plumb.model.lifecycle.events import CONTAINER, Event
from plumb.model.paths import Layout

DESCRIPTORS = 2
"""Descriptors of a check that is under way: its output's pipe, and its pidfd."""
TIMES = ("interval", "timeout", "start_period", "start_interval")
FIELDS = frozenset({"id", "process", "follows", "retries", "start", *TIMES})
"""Fields of a row: those of `things.supervision.HealthProbe`."""


class HealthChecks:
    """Checks of all containers of a root.

    Args:
        loop: the agent's.
        budget: the process's descriptors.
    """

    def __init__(self, loop: Loop, budget: Budget) -> None:
        self._loop, self._budget = loop, budget
        self._checks: dict[str, _Check] = {}
        self._due: deque[_Check] = deque()

    def parsed(self, verb: str, value: Any, spec: Any = None) -> Callable[[], None]:
        """Validate a row of a request, and return the action that carries it out.

        Raises:
            ValueError, TypeError, KeyError: the row is not valid.
        """
        if verb != CHECK:
            ident = str(value)
            return lambda: self._end(ident)
        if value.keys() != FIELDS or not isinstance(spec, dict):
            raise ValueError(f"a check has {', '.join(sorted(FIELDS))}")
        check = _Check(self, value, spec)
        return lambda: self._begin(check)

    def _begin(self, check: _Check) -> None:
        self._end(check.id)
        self._budget.promise(DESCRIPTORS)
        self._checks[check.id] = check
        check.begin()

    def _end(self, ident: str) -> None:
        check = self._checks.pop(ident, None)
        if check is not None:
            self._budget.promise(-DESCRIPTORS)
            check.end()

    def due(self, check: _Check) -> None:
        """Run a check soon: one in a turn of the loop, as each costs a fork."""
        self._due.append(check)
        if len(self._due) == 1:
            self._loop.soon(self._run_next)

    def _run_next(self) -> None:
        check = self._due.popleft()
        if self._due:
            self._loop.soon(self._run_next)
        check.run()

    def later(self, seconds: float, check: _Check) -> Timer:
        """Make a check due after so many seconds."""
        return self._loop.later(seconds, lambda: self.due(check))

    def probe(self, check: _Check, spec: dict[str, Any], seconds: float) -> Probe:
        """Begin to run a check's command."""
        return Probe(self._loop, spec, seconds, spelt(seconds), check.done)

    def rows(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """List the checks of these containers, or all."""
        found = (
            self._checks if wanted is None else [each for each in wanted if each in self._checks]
        )
        return [self._checks[ident].row for ident in found]

    def states(self, wanted: Iterable[str]) -> dict[str, Health]:
        """Return the health of those of the containers that are checked."""
        return {each: self._checks[each].state for each in wanted if each in self._checks}


class _Check:
    """Health check of one container."""

    def __init__(self, checks: HealthChecks, row: dict[str, Any], spec: dict[str, Any]) -> None:
        self.id, self.row = str(row["id"]), row
        self._checks, self._spec, self._folder = checks, spec, str(spec["folder"])
        seconds: dict[str, Any] = {name: float(row[name]) for name in TIMES}
        self._asked = HealthCheck(retries=int(row["retries"]), **seconds)
        self._probe: Probe | None = None
        self._ended = False
        self._began = 0.0
        self.state: Health = {}

    def begin(self) -> None:
        """Begin, or go on where an agent that was killed has stopped."""
        before = health_file.read(self._folder)
        if before is not None and before.get("Start") == self.row["start"]:
            self._began = before["Began"]
            self.state = {key: before[key] for key in ("Status", "FailingStreak", "Log")}
        else:
            self._began = time.time()
            self.state = health.starting(before)
            self._write()
        self._wait()

    def _wait(self) -> None:
        seconds = health.pause(self._asked, self.state["Status"], time.time() - self._began)
        self._timer = self._checks.later(seconds, self)

    def run(self) -> None:
        """Run the command, unless the container's own has ended."""
        if self._ended:
            return
        beside = alive(self._folder)[0] if self.row["follows"] else 0
        if self.row["follows"] and not beside:
            self._wait()
            return
        timeout = self._asked.timeout or health.TIMEOUT
        try:
            self._probe = self._checks.probe(self, {**self._spec, "beside": beside}, timeout)
        except OSError as error:
            said = f"cannot run the health check: {error.strerror}".encode()
            now = time.time()
            self.done(health.NO_ANSWER, health.result(now, now, health.NO_ANSWER, said))

    def done(self, code: int, result: dict[str, Any]) -> None:
        """Take a result into account, and wait for the next check."""
        self._probe = None
        before = self.state
        self.state = health.after(before, self._asked, time.time() - self._began, code, result)
        if self.state["Status"] != before["Status"]:
            self._write()
            self._tell()
        self._wait()

    def _tell(self) -> None:
        status = Event(CONTAINER, f"health_status: {self.state['Status']}", self.id)
        root = str(self._spec["settle_environment"]["PLUMB_ROOT"])
        journal.append(Layout(root).events, [status])

    def _write(self) -> None:
        noted = {"Start": self.row["start"], "Began": self._began}
        try:
            health_file.write(self._folder, {**self.state, **noted})
        except OSError:  # the container is gone, or the disk is full
            return

    def end(self) -> None:
        """End it; the container has stopped."""
        self._ended = True
        self._timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
        self.state = health.ended(self.state)
        self._write()
