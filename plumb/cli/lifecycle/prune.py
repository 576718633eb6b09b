"""plumb container prune, and the question that each prune asks."""

from __future__ import annotations

import click

from plumb.cli import common
from plumb.cli.filters.prune import prunable
from plumb.kernel.process import caller
from plumb.model.lifecycle.status import ALIVE


def agreed(warning: str) -> bool:
    """Ask the user whether things may be removed.

    Args:
        warning: what would be, after "This will remove all".
    """
    caller.this.require_own_process()  # the terminal is its
    return click.confirm(
        f"WARNING! This will remove all {warning}.\nAre you sure you want to continue?"
    )


@common.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="label, label!, until."
)
@common.changing
def prune(force: bool, filters: tuple[str, ...], dry_run: bool, show_commands: bool) -> None:
    """Remove all containers that do not run."""
    passes = prunable(filters)
    if not (force or dry_run or agreed("stopped containers")):
        return
    with common.opened(dry_run, show_commands) as host, host.operation() as verbs:
        gone = [box for box in host.containers() if box.status not in ALIVE and passes(box)]
        for box in gone:
            verbs.remove(box.id)
    if not dry_run:
        if gone:
            print("Deleted Containers:", *(box.id for box in gone), "", sep="\n")
        print("Total reclaimed space: 0B")
