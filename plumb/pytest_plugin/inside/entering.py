"""Into a place of a lab, for a process that is on its host already; light, since forks of pytest use it as well."""

from __future__ import annotations

from plumb.kernel import cradle, shim
from plumb.pytest_plugin.facts import Way


def enter(way: Way) -> None:
    """Put the calling process into a place, for good: into a container with its files and its name."""
    if way.spec is not None:
        shim.enter(way.spec)
    else:
        cradle.go(way.ns)
