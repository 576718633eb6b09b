"""plumb kill|rename|wait."""

from __future__ import annotations

import time

import click

from plumb.cli import common
from plumb.engine.reader import Reader
from plumb.errors import NotFound
from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import signals

PAUSE = 0.05
"""Seconds between two looks at the record."""


@common.command("kill")
@click.option(
    "-s", "--signal", "name", default="KILL", metavar="SIGNAL", help="Its name or number (KILL)."
)
@click.argument("containers", nargs=-1, required=True)
def kill(containers: tuple[str, ...], name: str) -> int:
    """Send a signal to the commands of containers."""
    number = signals.number(name)
    with common.opened() as host:

        def send(container: str) -> str:
            host.kill(container, number)
            return container

        return common.for_each(containers, send)


@common.command("rename")
@common.changing
@click.argument("container")
@click.argument("name")
def rename(container: str, name: str, dry_run: bool, show_commands: bool) -> None:
    """Give a container another name."""
    with common.opened(dry_run, show_commands) as host:
        host.rename(container, name)


KILLED = 137
"""Exit code of a command that was killed: 128 + SIGKILL."""


@common.command("wait")
@click.argument("containers", nargs=-1, required=True)
def wait(containers: tuple[str, ...]) -> int:
    """Wait until containers stop; print their exit codes."""
    with common.read() as host:
        return common.for_each(containers, lambda name: str(ended(host, host.container(name))))


def ended(host: Reader, box: Sandbox) -> int:
    """Wait until a container has stopped; its exit code, also if it goes then (--rm).

    Where it went before its code was seen, that of a command that was killed.
    """
    from plumb.kernel.process import commands

    folder, code, now = host.layout.container(box.id), KILLED, box
    while now.status is Status.RUNNING and now.start == box.start:
        time.sleep(PAUSE)
        found = commands.exit_code(folder)
        code = code if found is None else found
        try:
            now = host.container(box.id)
        except NotFound:
            return code
    return now.exit_code if now.start == box.start else code
