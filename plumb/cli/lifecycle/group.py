"""plumb container …: the verbs of containers under Docker's longer names."""

from __future__ import annotations

import click

from plumb.cli import DockerGroup, common, plumb

VERBS = [
    "attach",
    "create",
    "exec",
    "inspect",
    "kill",
    "logs",
    "ls",
    "port",
    "prune",
    "rename",
    "restart",
    "rm",
    "run",
    "start",
    "stats",
    "stop",
    "top",
    "update",
    "wait",
]
SHORT = {"ls": "ps", "list": "ps", "ps": "ps", "remove": "rm"}
"""Words for a verb that has another name without the group."""


class ContainerGroup(DockerGroup):
    """Verbs of containers: the commands without the group, but for inspect and prune."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the verbs."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a verb's command; None for an unknown verb."""
        if name == "inspect":
            return inspect
        if name == "prune":
            from plumb.cli.lifecycle.prune import prune

            return prune
        known = name in VERBS or name in SHORT
        return plumb.get_command(context, SHORT.get(name, name)) if known else None


@click.command("container", cls=ContainerGroup)
def container() -> None:
    """Manage containers."""


@common.command("inspect")
@click.option("-f", "--format", "template", default="", help="json or a Go template.")
@common.SIZE
@click.argument("names", nargs=-1, required=True)
def inspect(names: tuple[str, ...], template: str, size: bool) -> int:
    """Show containers in Docker's JSON."""
    from plumb.cli import listings

    assert listings.inspect.callback is not None
    status: int = listings.inspect.callback(
        names=names, template=template, kind="container", size=size
    )
    return status
