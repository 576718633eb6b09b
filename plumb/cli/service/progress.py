"""Display of a service's progress until it is as asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from plumb.engine.cluster.services import ServiceClient
from plumb.errors import PlumbError
from plumb.model.service.progress import progress
from plumb.model.service.service import Service
from plumb.views.services.progress import lines

PAUSE = 0.2
"""Seconds between two looks at the tasks."""


def follow(asked: ServiceClient, service: Service, quiet: bool) -> None:
    """Wait until a service is as asked for, and has stayed so for its monitor's time.

    Raises:
        PlumbError: its update was paused.
    """
    display = _Display(quiet)
    try:
        _converge(asked, service, display)
    except KeyboardInterrupt:
        print("Operation continuing in background.")
        print(f"Use `plumb service ps {service.id}` to check progress.")


def _converge(asked: ServiceClient, service: Service, display: _Display) -> None:
    since = None
    while True:
        known = asked.one(service.id)
        found = progress(known, asked.tasks(known))
        display.show(tuple(lines(found)))
        if found.failure:
            raise PlumbError(found.failure, f"'plumb service ps {known.spec.name}' shows its tasks")
        now = time.monotonic()
        since = (now if since is None else since) if found.converged else None
        if since is not None and now - since >= known.spec.update.monitor:
            display.show((*lines(found), f"verify: Service {known.id} converged"))
            return
        time.sleep(PAUSE)


class _Display:
    """Lines that are written over on a terminal; elsewhere each is printed when it changes."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._shown: tuple[str, ...] = ()

    def show(self, found: Sequence[str]) -> None:
        """Show these lines in place of those before."""
        if self._quiet or tuple(found) == self._shown:
            return
        if sys.stdout.isatty():
            up = f"\x1b[{len(self._shown)}A" if self._shown else ""
            sys.stdout.write(up + "".join(f"\x1b[2K{line}\n" for line in found) + "\x1b[J")
        else:
            before = set(self._shown)
            sys.stdout.write("".join(f"{line}\n" for line in found if line not in before))
        sys.stdout.flush()
        self._shown = tuple(found)
