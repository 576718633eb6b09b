"""plumb attach, and start --attach."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from types import FrameType

import click

from plumb.cli import common
from plumb.cli.lifecycle.signals import ended
from plumb.cli.logs import print_text
from plumb.errors import Conflict, Invalid, Unsupported
from plumb.kernel.process import caller, commands
from plumb.kernel.process.logs import reading
from plumb.model.cnm import Sandbox, Status


@common.command("attach")
@click.option("--no-stdin", is_flag=True, help="Pass no input on, as it never is.")
@click.option(
    "--sig-proxy",
    type=bool,
    default=True,
    metavar="BOOL",
    help="Pass signals on to the command (default true).",
)
@click.argument("container")
def attach(no_stdin: bool, sig_proxy: bool, container: str) -> int:
    """Print what a detached command prints from now on, and end as it ends.

    Signals reach the command, Ctrl-C too, unless --sig-proxy=false: then they end attach alone. The
    command has no input: whoever needs its terminal runs it without -d.
    """
    host = common.read()
    box = host.container(container)
    _refuse_stopped(box)
    _refuse(box)
    caller.this.require_own_process()  # signals are sent to that
    folder = host.layout.container(box.id)
    if sig_proxy:
        _pass_signals_on(folder)
    blocks = reading.follow(folder, box.log_files)
    next(blocks)  # what was printed before
    _print(blocks)
    return ended(host, box)


def start(names: Sequence[str], show_commands: bool) -> int:
    """Start a container as `start --attach` does, print what its command prints, end as it ends.

    Raises:
        Invalid: there are several names; Unsupported: the command's output is not here.
    """
    if len(names) > 1:
        raise Invalid("you cannot start and attach multiple containers at once")
    caller.this.require_own_process()  # signals are sent to that
    with common.opened(show_commands=show_commands) as host:
        box = host.container(names[0])
        _refuse(box)
        folder = host.layout.container(box.id)
        blocks = reading.follow_start(folder, box.log_files, lambda: host.start(box.id))
        first = next(blocks)  # before the lock is released: with --rm the log could go until then
        _pass_signals_on(folder)
        box = host.container(box.id)
    _print(chain([first], blocks))
    return ended(common.read(), box)


def _print(blocks: Iterable[list[bytes]]) -> None:
    for lines in blocks:
        for entry in reading.entries(lines):
            print_text(entry, timestamps=False)
        sys.stdout.flush()


def _refuse_stopped(box: Sandbox) -> None:
    if box.status is Status.RESTARTING:
        raise Conflict("You cannot attach to a restarting container, wait until it is running")
    if box.status is not Status.RUNNING:
        raise Conflict("You cannot attach to a stopped container, start it first")


def _refuse(box: Sandbox) -> None:
    """See that a container has a command whose output can be followed.

    Raises:
        Unsupported: it has none, or its output is not here.
    """
    if not box.argv:
        raise Unsupported(f"container {box.name} has no command", "'plumb exec' runs one in it")
    if box.foreground and box.status is Status.RUNNING:
        raise Unsupported(f"the command of {box.name} has the terminal of who has run it")
    if not box.log.readable:
        raise Unsupported(
            f"what {box.name} prints is not kept on this host, where attach would read it",
            f"the container was created with --log-driver {box.log.driver}",
        )


def _pass_signals_on(folder: str) -> None:
    from plumb.kernel.process.pid_namespace import PASSED_ON, STOPPING

    def pass_on(number: int, frame: FrameType | None) -> None:
        commands.send(folder, number)

    for number in PASSED_ON - STOPPING - {signal.SIGWINCH}:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, pass_on)
