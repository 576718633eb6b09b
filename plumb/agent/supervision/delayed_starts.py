"""Starts of containers after a back-off: when each is due, and the command that starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from plumb.agent.loop import Loop, Timer
from plumb.agent.supervision.children import Child, fork
from plumb.kernel.agent_verbs import DELAY

RETRY = 10.0
"""Seconds after which a start is tried again whose command could do nothing."""
FIELDS = frozenset(("id", "seconds", "start", "root", "config"))
"""Fields of a row: those of `things.supervision.DelayedStart`."""


class DelayedStarts:
    """Starts that wait, of all containers of a root.

    One command at a time starts all that are due: so a hundred containers that die at once cost one
    process, and not a hundred.

    Args:
        loop: the agent's.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[str, tuple[dict[str, Any], Timer]] = {}
        self._due: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._child: Child | None = None

    def parsed(
        self, verb: str, value: Any, command: Any = None, environment: Any = None
    ) -> Callable[[], None]:
        """Validate a row of a request, and return the action that carries it out.

        Raises:
            ValueError, TypeError, KeyError: the row is not valid.
        """
        if verb != DELAY:
            return lambda: self._cancel(str(value))
        if value.keys() != FIELDS or not command:
            raise ValueError(f"a start has {', '.join(sorted(FIELDS))}, and a command")
        words, variables = list(map(str, command)), {k: str(v) for k, v in environment.items()}
        return lambda: self._delay(value, float(value["seconds"]), (words, variables))

    def _delay(
        self, row: dict[str, Any], seconds: float, how: tuple[list[str], dict[str, str]]
    ) -> None:
        ident = str(row["id"])
        self._cancel(ident)
        self._waiting[ident] = row, self._loop.later(seconds, lambda: self._ready(ident, how))

    def _cancel(self, ident: str) -> None:
        _, timer = self._waiting.pop(ident, (None, None))
        self._due.pop(ident, None)
        if timer is not None:
            timer.cancel()

    def _ready(self, ident: str, how: tuple[list[str], dict[str, str]]) -> None:
        self._due[ident] = how
        if self._child is None:
            self._loop.soon(self._start_all)

    def _start_all(self) -> None:
        if self._child is not None or not self._due:
            return
        tried, self._due = self._due, {}
        command, variables = next(iter(tried.values()))
        words, environment = [*command, *tried], {**os.environ, **variables}
        pid = fork(lambda: os.execve(words[0], words, environment))
        self._child = Child(self._loop, pid, lambda status: self._started(tried))

    def _started(self, tried: dict[str, tuple[list[str], dict[str, str]]]) -> None:
        """Try those again that wait still: their command could do nothing, as on a full disk."""
        self._child = None
        for ident, how in tried.items():
            if ident in self._waiting:
                row, _ = self._waiting[ident]
                self._delay(row, RETRY, how)
        self._start_all()

    def rows(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """List the starts of these containers, or all."""
        found = (
            self._waiting if wanted is None else [each for each in wanted if each in self._waiting]
        )
        return [self._waiting[ident][0] for ident in found]
