"""Programs that a test starts: each has ended when its with block has, and its lines come in time.

`with subprocess.Popen(...)` waits for the program's end, and so for ever where a test fails before
it has ended the program.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import DEADLINE

A_MINUTE = 60.0
"""Seconds that a program has to end by itself, before it is killed."""


@contextmanager
def running(argv: Sequence[str | Path], **asked: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program that runs in a with block, and is killed at its end if it has not ended.

    Args:
        asked: as of subprocess.Popen.
    """
    with subprocess.Popen(argv, **asked) as program:
        try:
            yield program
        finally:
            program.kill()


def stop(program: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """End a program by a signal; by SIGKILL, where it has not ended a minute later."""
    program.send_signal(number)
    try:
        program.wait(A_MINUTE)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait(A_MINUTE)


def line(program: subprocess.Popen[Any], seconds: float = DEADLINE) -> str:
    """Read the next line of a program's output, and nothing behind it.

    Args:
        seconds: time after which the test fails.

    Returns:
        The line; empty, or without a newline, where the program has closed its output.
    """
    assert program.stdout is not None
    source, found, deadline = program.stdout.fileno(), b"", time.monotonic() + seconds
    ready = select.poll()
    ready.register(source, select.POLLIN)
    while not found.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        assert ready.poll(left * 1000), f"waited {seconds:g} s in vain for a line behind {found!r}"
        part = os.read(source, 1)
        if not part:
            break
        found += part
    return found.decode()
