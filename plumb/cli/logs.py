"""plumb logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import click

from plumb.cli import common
from plumb.errors import Invalid, Unsupported
from plumb.kernel.process.logs import json_file, reading
from plumb.kernel.process.logs.reading import Entry, Span

Command = Callable[..., Any]
OPTIONS: list[Callable[[Command], Command]] = [
    click.option(
        "--since", default="", metavar="TIME", help="Only from then on: a date, or as 10m ago."
    ),
    click.option("-t", "--timestamps", is_flag=True, help="Each line's time before it."),
    click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last lines."),
]


def log_options(function: Command) -> Command:
    """Options that `logs` and `service logs` have in common."""
    for option in OPTIONS:
        function = option(function)
    return function


def span(since: str, until: str, tail: str) -> Span:
    """Parse the part of a log that is asked for.

    Raises:
        Invalid: a number of lines or a time that is none.
    """
    if tail != "all" and not tail.removeprefix("-").isdecimal():
        raise Invalid(f"invalid number of lines {tail!r}", "as --tail 100, or --tail all")
    lines = None if tail == "all" or tail.startswith("-") else int(tail)
    return Span(_time(since, "since"), _time(until, "until"), lines)


def _time(text: str, flag: str) -> str:
    from plumb.model.lifecycle.moments import moment

    if not text:
        return ""
    at = max(0, moment(text, time.time_ns(), f'value for "{flag}"'))
    return json_file.padded(json_file.rfc3339(at))


@common.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until the command ends.")
@click.option("--until", default="", metavar="TIME", help="Only until then.")
@log_options
@click.option("--details", is_flag=True, hidden=True)
@click.argument("container")
def logs(
    follow: bool, since: str, until: str, timestamps: bool, tail: str, details: bool, container: str
) -> None:
    """Print what a detached command has printed: its output, and its errors as errors.

    A time is a date as 2026-01-31T12:00:00, seconds since 1970, or a duration ago as 1h30m.
    """
    asked = span(since, until, tail)
    host = common.read()
    box = host.container(container)
    if not box.log.readable:
        raise Unsupported(
            "configured logging driver does not support reading",
            f"the container was created with --log-driver {box.log.driver}",
        )
    folder = host.layout.container(box.id)
    if follow:
        blocks = reading.follow(folder, box.log_files)
    else:
        blocks = iter([reading.read(folder, box.log_files)])
    for entry in _wanted(blocks, asked):
        print_text(entry, timestamps)


def _wanted(blocks: Iterator[list[bytes]], asked: Span) -> Iterator[Entry]:
    """Yield the entries that are asked for; the first block is what is kept already."""
    for lines in chain([asked.tailed(next(blocks))], blocks):
        for entry in reading.entries(lines):
            if asked.is_over(entry):
                return
            if asked.holds(entry):
                yield entry
        sys.stdout.flush()


def print_text(entry: Entry, timestamps: bool, before: bytes = b"") -> None:
    """Print a line of a log: of stdout to stdout, of stderr to stderr.

    Args:
        timestamps: its time comes first; an older plumb has kept none.
        before: what comes before its text.
    """
    at = f"{entry.time} ".encode() if timestamps and entry.time else b""
    file = sys.stderr if entry.stream == "stderr" else sys.stdout
    file.buffer.write(at + before + entry.text)
    if file is sys.stderr:
        sys.stdout.flush()
        file.flush()
