"""plumb update, and the command by which the agent starts containers again."""

from __future__ import annotations

import click

from plumb.cli import common
from plumb.errors import NotFound
from plumb.model.lifecycle import restart


@common.command("update")
@click.option(
    "--restart",
    "policy",
    required=True,
    metavar="POLICY",
    help="no, always, unless-stopped or on-failure[:N].",
)
@common.changing
@click.argument("containers", nargs=-1, required=True)
def update(containers: tuple[str, ...], policy: str, dry_run: bool, show_commands: bool) -> int:
    """Change the restart policy of containers."""
    restart.policy(policy)
    with common.opened(dry_run, show_commands) as host:

        def change(name: str) -> str:
            host.update(name, restart=policy)
            return "" if dry_run else name

        return common.for_each(containers, change)


@common.command("resume")
@click.argument("containers", nargs=-1, required=True)
def resume(containers: tuple[str, ...]) -> int:
    """Start containers again whose back-off is over (called by the agent)."""
    with common.opened() as host:

        def start(name: str) -> str:
            try:
                host.resume(name)
            except NotFound:  # it was removed meanwhile
                return ""
            return name

        return common.for_each(containers, start)
