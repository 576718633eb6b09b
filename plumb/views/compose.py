"""Listings of Compose: containers of a project, projects of a host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from plumb.compose import labels
from plumb.model.cnm import Ends, Network, Sandbox
from plumb.model.lifecycle import Health
from plumb.model.lifecycle.status import ALIVE
from plumb.views.inspect.rows import container_row
from plumb.views.tables import Line


def of_project(
    boxes: Iterable[Sandbox], project: str, services: Collection[str], *, everything: bool
) -> list[Sandbox]:
    """Return a project's containers in the order of a listing: by service and number.

    Args:
        services: names of those that are meant; none: all.
        everything: also containers that do not run.
    """
    found = [
        box
        for box in boxes
        if labels.label(box, labels.PROJECT) == project
        and (everything or box.status in ALIVE)
        and (not services or labels.label(box, labels.SERVICE) in services)
    ]
    return sorted(found, key=lambda box: (labels.label(box, labels.SERVICE), labels.number(box)))


def container_line(
    box: Sandbox, ends: Ends, known: Mapping[str, Network], health: Health | None = None
) -> Line:
    """Return a line of `compose ps`.

    Args:
        ends: its endpoints with their networks.
        known: all networks by id.
        health: what its checks have found, None without one.
    """
    columns = {
        **container_row(box, ends, known, truncate=True, health=health),
        "Name": box.name,
        "Service": labels.label(box, labels.SERVICE),
        "Project": labels.label(box, labels.PROJECT),
        "ExitCode": box.exit_code,
        "Health": health["Status"] if health else "",
    }
    return Line(columns, dict(box.labels), "*formatter.ContainerContext")


def projects(boxes: Iterable[Sandbox]) -> list[Line]:
    """Return a line for each project: its name, its containers by state, its files."""
    found: dict[str, list[Sandbox]] = {}
    for box in boxes:
        if name := labels.label(box, labels.PROJECT):
            found.setdefault(name, []).append(box)
    return [
        Line(
            {
                "Name": name,
                "Status": _states(found[name]),
                "ConfigFiles": labels.label(found[name][0], labels.FILES),
            }
        )
        for name in sorted(found)
    ]


def _states(boxes: Iterable[Sandbox]) -> str:
    """States of containers and how many are in each: exited(1), running(2)."""
    count = Counter(str(box.status) for box in boxes)
    return ", ".join(f"{state}({count[state]})" for state in sorted(count))
