"""plumb logs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import click

from plumb.cli import common
from plumb.errors import Invalid
from plumb.kernel.process import commands

PAUSE = 0.2
"""Seconds between two looks for more output."""


@common.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on until the command ends.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last lines.")
@click.argument("container")
def logs(follow: bool, tail: str, container: str) -> None:
    """Print what a detached command has printed: output and errors, in the order of both."""
    if tail != "all" and not tail.isdecimal():
        raise Invalid(f"invalid number of lines {tail!r}", "as --tail 100, or --tail all")
    host = common.read()
    box = host.container(container)
    folder = host.layout.container(box.id)
    older = [_read(f"{folder}/log.{number}") for number in range(box.log_files - 1, 0, -1)]
    current = _current(folder)
    known = b"".join([*older, next(current)])
    _print(known if tail == "all" else _last(known, int(tail)))
    while follow:
        output = next(current, None)
        if output is None:
            break
        _print(output)


def _read(path: str) -> bytes:
    """Read a file; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _current(folder: str) -> Iterator[bytes]:
    """The log's file, then what is added to it and its successors, until the command ends."""
    path = f"{folder}/log"
    if not os.path.exists(path):
        yield b""
        return
    while True:
        with open(path, "rb") as file:
            replaced = False
            while not replaced:
                # before the file is read, so that nothing is missed
                running = commands.alive(folder)[0]
                yield file.read()
                if not running:
                    return
                replaced = os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
                time.sleep(PAUSE)
            yield file.read()


def _last(output: bytes, lines: int) -> bytes:
    return b"".join(output.splitlines(keepends=True)[-lines:] if lines else [])


def _print(output: bytes) -> None:
    sys.stdout.buffer.write(output)
    sys.stdout.flush()
