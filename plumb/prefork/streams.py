"""Arguments, environment and standard streams of a caller, as Python keeps them."""

from __future__ import annotations

import io
import os
import sys
import time

from plumb.prefork.client import Request


def apply_request(request: Request) -> None:
    """Set what Python keeps of a process's caller: arguments, environment, streams."""
    sys.argv[:] = request.argv
    if request.environment != os.environ:
        os.environ.clear()
        os.environ.update(request.environment)
        time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (
        _stream(number, *request.streams[number]) for number in range(3)
    )


def _stream(
    number: int, encoding: str, errors: str, by_line: str, at_once: str
) -> io.TextIOWrapper:
    """Open a standard stream as the interpreter does at its start.

    Args:
        by_line: "1" if it is flushed after each line; empty: as the interpreter decides that.
    """
    if not by_line:
        by_line = str(int(at_once == "0" and (number == 2 or os.isatty(number))))
    raw = io.FileIO(number, "w" if number else "r", closefd=False)
    buffer = (
        io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw) if at_once == "0" else raw
    )
    return io.TextIOWrapper(
        buffer, encoding, errors, "\n", line_buffering=by_line == "1", write_through=at_once == "1"
    )


def flush(status: int) -> int:
    """Flush the output; the exit status is 120 if not all could be written, as sys.exit has it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120
    return status
