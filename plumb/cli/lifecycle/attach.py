"""plumb attach."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from plumb.cli import common
from plumb.cli.lifecycle.signals import ended
from plumb.cli.logs import print_text
from plumb.errors import Conflict, Unsupported
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
    _refuse(box)
    caller.this.require_own_process()  # signals are sent to that
    folder = host.layout.container(box.id)
    if sig_proxy:
        _pass_signals_on(folder)
    blocks = reading.follow(folder, box.log_files)
    next(blocks)  # what was printed before
    for lines in blocks:
        for entry in reading.entries(lines):
            print_text(entry, timestamps=False)
        sys.stdout.flush()
    return ended(host, box)


def _refuse(box: Sandbox) -> None:
    """See that there is a command whose output can be followed.

    Raises:
        Conflict: there is none that runs; Unsupported: its output is not here.
    """
    if box.status is Status.RESTARTING:
        raise Conflict("You cannot attach to a restarting container, wait until it is running")
    if box.status is not Status.RUNNING:
        raise Conflict("You cannot attach to a stopped container, start it first")
    if not box.argv:
        raise Unsupported(f"container {box.name} has no command", "'plumb exec' runs one in it")
    if box.foreground:
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
