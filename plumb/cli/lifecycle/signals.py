"""plumb kill|rename|wait."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

from plumb.cli import common
from plumb.engine.reader import Reader
from plumb.errors import NotFound
from plumb.model.cnm import Sandbox, Status
from plumb.model.lifecycle import signals

if TYPE_CHECKING:
    from plumb.model.lifecycle.events import Document

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
PATIENCE = 10.0
"""Seconds until the event of an end that is on record is written, on a busy host too."""


@common.command("wait")
@click.argument("containers", nargs=-1, required=True)
def wait(containers: tuple[str, ...]) -> int:
    """Wait until containers stop; print their exit codes."""
    with common.read() as host:
        return common.for_each(containers, lambda name: str(ended(host, host.container(name))))


def ended(host: Reader, box: Sandbox) -> int:
    """Wait until a container has stopped; its exit code, also if it goes then (--rm)."""
    now = box
    while now.status is Status.RUNNING and now.start == box.start:
        time.sleep(PAUSE)
        try:
            now = host.container(box.id)
        except NotFound:
            return _by_event(host, box)
    return now.exit_code if now.start == box.start else _by_event(host, box)


def _by_event(host: Reader, box: Sandbox) -> int:
    """Exit code by the event of a container's end, which outlives its record.

    Returns:
        that of a command that was killed, where no event could be written.
    """
    from plumb.kernel.events.journal import Journal

    begun = datetime.fromisoformat(box.started).timestamp() * 10**9
    deadline = time.monotonic() + PATIENCE
    with suppress(OSError), Journal(host.layout.root, host.layout.events) as journal:
        while True:
            for event in journal.more():
                if event["timeNano"] >= begun and _ends(event, box):
                    return int(event["Actor"]["Attributes"]["exitCode"])
            if (left := deadline - time.monotonic()) <= 0:
                break
            journal.wait(left)
    return KILLED


def _ends(event: Document, box: Sandbox) -> bool:
    return (event["Action"], event["Actor"]["ID"]) == ("die", box.id)
