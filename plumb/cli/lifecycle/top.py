"""plumb top."""

from __future__ import annotations

import click

from plumb.cli import common
from plumb.errors import Conflict, Invalid
from plumb.model.cnm import Status
from plumb.views.tables import table


@common.command("top", context_settings={"ignore_unknown_options": True})
@click.argument("container")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def top(container: str, arguments: tuple[str, ...]) -> None:
    """Show the processes of a container by the host's ps, with ps's own options (-ef)."""
    from plumb.kernel.process import commands

    host = common.read()
    box = host.container(container)
    if box.status is not Status.RUNNING:
        raise Conflict(f"container {box.id} is not running")
    inside = set(commands.pids(host.layout.container(box.id)))
    print(table(_rows(commands.listed(arguments or ("-ef",)), inside)), end="")


def _rows(printed: str, inside: set[int]) -> list[list[str]]:
    """Lines of ps about these processes, below the heading.

    Raises:
        Invalid: there is no column with pids.
    """
    heading, *lines = printed.splitlines() or [""]
    names = heading.split()
    if "PID" not in names:
        raise Invalid("Couldn't find PID field in ps output", "-o pid,cmd has one")
    place, last = names.index("PID"), len(names) - 1
    rows = [line.split(maxsplit=last) for line in lines]
    return [names, *(row for row in rows if int(row[place]) in inside)]
