"""plumb compose up|down."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common
from plumb.cli.compose.project import project, request, which
from plumb.errors import Invalid

if TYPE_CHECKING:
    from plumb.compose.carry_out import UpOptions
    from plumb.compose.changes import Changes


@common.command("up")
@which
@click.option("-d", "--detach", is_flag=True, help="No effect: commands are always detached.")
@click.option("--no-start", is_flag=True, help="Create containers without starting them.")
@click.option("--force-recreate", is_flag=True, help="Make all containers anew.")
@click.option("--no-recreate", is_flag=True, help="Leave containers that are there as they are.")
@click.option("--remove-orphans", is_flag=True, help="Remove containers of other services.")
@click.option("--scale", multiple=True, metavar="SERVICE=N", help="Number of containers.")
@click.option("-t", "--timeout", type=int, help="Seconds that commands have to end in.")
@common.changing
@click.argument("services", nargs=-1)
def up(services: tuple[str, ...], dry_run: bool, show_commands: bool, **asked: Any) -> None:
    """Make networks and containers as compose files say; change only what is not so already.

    All that need not wait for a health check is one change: it is made whole or not at all.
    """
    from plumb.compose import carry_out
    from plumb.compose.load import scaled

    wanted = scaled(project(asked, services), asked["scale"])
    with common.opened(dry_run, show_commands) as host:
        changes = carry_out.up(host, wanted, _up_options(services, asked), awaits=not dry_run)
    _tell_orphans(changes)
    if not dry_run:
        _report(changes, started=not asked["no_start"])


def _up_options(services: tuple[str, ...], asked: dict[str, Any]) -> UpOptions:
    from plumb.compose.carry_out import UpOptions
    from plumb.compose.changes import Policy

    if asked["force_recreate"] and asked["no_recreate"]:
        raise Invalid("--force-recreate and --no-recreate are incompatible")
    policy = (
        Policy.ALWAYS
        if asked["force_recreate"]
        else Policy.NEVER
        if asked["no_recreate"]
        else Policy.CHANGED
    )
    return UpOptions(
        services=services,
        policy=policy,
        remove_orphans=asked["remove_orphans"],
        start=not asked["no_start"],
        timeout=asked["timeout"],
    )


@common.command("down")
@which
@click.option("--remove-orphans", is_flag=True, help="Also containers of other services.")
@click.option("-t", "--timeout", type=int, help="Seconds that commands have to end in.")
@click.option("-v", "--volumes", is_flag=True, help="No effect: there are no volumes.")
@common.changing
def down(dry_run: bool, show_commands: bool, **asked: Any) -> None:
    """Remove the containers and networks of compose files, or of the project that -p names."""
    from plumb.compose import carry_out
    from plumb.compose.load import of_name_or_files

    wanted = of_name_or_files(request(asked))
    with common.opened(dry_run, show_commands) as host:
        changes = carry_out.down(
            host, wanted, remove_orphans=asked["remove_orphans"], timeout=asked["timeout"]
        )
    _tell_orphans(changes)
    if not dry_run:
        _report(changes, started=False)


def _report(changes: Changes, *, started: bool) -> None:
    """Print a line for each network and container, in Docker's words."""
    again = [each.name for each in changes.create if each.again]
    gone = [box.name for box in changes.remove if box.name not in again]
    rows = [
        *(("Container", name, "Removed") for name in gone),
        *(("Network", net.name, "Removed") for net in changes.remove_networks),
        *(("Network", net.name, "Created") for net in changes.create_networks),
        *(("Container", name, "Running") for name in changes.running),
        *(("Container", name, "Recreated") for name in again),
        *(("Container", name, "Started" if started else "Created") for name in changes.start),
    ]
    for kind, name, state in rows:
        print(f"{kind} {name}  {state}")
    if changes.none:
        print("nothing to change")
    sys.stdout.flush()


def _tell_orphans(changes: Changes) -> None:
    if changes.orphans:
        common.tell(
            f"containers of other services stay: {', '.join(changes.orphans)}; "
            "--remove-orphans removes them"
        )
