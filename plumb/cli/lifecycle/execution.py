"""plumb exec."""

from __future__ import annotations

import sys

import click

from plumb.cli import common, lifecycle
from plumb.errors import PlumbError


@common.command("exec", context_settings=common.COMMAND_FOLLOWS)
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it, nor show its output.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]")
@lifecycle.ENV_FILE
@click.option("-u", "--user", default="", metavar="USER", help="NAME|UID[:GROUP|GID].")
@click.option("-w", "--workdir", default="", help="The folder that it starts in.")
@click.option("--privileged", is_flag=True, help="All capabilities.")
@click.option("-i", "--interactive", is_flag=True, help="Keep the input open, as it always is.")
@click.option(
    "-t", "--tty", is_flag=True, help="The command has the caller's terminal, as it always does."
)
@click.argument("container")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(
    container: str,
    command: tuple[str, ...],
    detach: bool,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    user: str,
    workdir: str,
    privileged: bool,
    interactive: bool,
    tty: bool,
) -> None:
    """Run a command in a running container."""
    from plumb.kernel.process import commands

    with common.opened() as host:
        if host.agent_lost:
            common.revive()
        process = host.command(
            host.container(container),
            command,
            privileged=privileged,
            environment=lifecycle.variables(env, env_file),
            user=user,
            working_dir=workdir,
        )
    sys.stdout.flush()
    try:
        commands.detach(process) if detach else commands.join(process)
    except OSError as error:
        raise PlumbError(
            f"cannot enter container {container}: {error}", "run 'plumb check' to verify its state"
        ) from error
