"""Launch of commands' shims: several of one operation by one interpreter, which forks for each.

A fresh interpreter costs more than all that a shim does, so many containers at once pay for one.
The code of the shim comes from Python's cache of compiled modules, where there is one.
"""

from __future__ import annotations

import errno
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from plumb.kernel.process import shim

SCRIPT = (
    "import sys,_frozen_importlib_external as m;path=sys.argv[1];"
    "exec(m.SourceFileLoader('__main__',path).get_code('__main__'),"
    "{'__name__':'__main__','__file__':path})"
)
"""It executes the file that is its argument, as a script; runpy would compile it."""
SECONDS = 90.0
"""Time between two answers; other commands wait for the writers' lock for longer than that."""
LONGEST = 1 << 16
"""Bytes that are read of the answers at a time."""


def launch(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Start a shim for each of these commands, and wait until each is executed or will not be.

    They are executed in order, and none if one is known to be impossible before that.

    Args:
        specs: commands, as `shim.main` takes them.

    Returns:
        The shims' answers in the same order: the pids and start times of the command and its shim,
        or "- ERRNO reason"; empty of one that was not executed since another was refused, or that
        died without a word.

    Raises:
        OSError: there are too many processes or open files.
    """
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SCRIPT, shim.__file__],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        asked = {"answers": writer, "commands": list(specs)}
        os.close(writer)
        writer = -1
        assert child.stdin is not None
        with suppress(BrokenPipeError):  # it has died; so no answer comes
            child.stdin.write(json.dumps(asked).encode())
            child.stdin.close()
        answers, in_time = _answers(reader, len(specs))
        if not in_time:
            child.kill()
            late = f"- {errno.ETIMEDOUT} neither executed nor refused within {SECONDS:g} s"
            answers = [answer or late for answer in answers]
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if len(specs) > 1 or not started(answers[0]):
        child.wait()
    else:
        child.returncode = 0  # it stays; whoever started it need not wait for it
    return answers


def started(answer: str) -> bool:
    """Tell whether an answer says that the command runs."""
    return bool(answer) and not answer.startswith("-")


def refused(answers: Sequence[str]) -> list[int]:
    """List the numbers of the answers that say why a command is not executed, or say nothing."""
    silent = [number for number, answer in enumerate(answers) if not answer]
    return [n for n, answer in enumerate(answers) if answer.startswith("-")] + silent


def _answers(reader: int, count: int) -> tuple[list[str], bool]:
    """Read a line of each shim, which begins with its number.

    Returns:
        The lines; False where it has waited for the next one for too long.
    """
    found, text = [""] * count, b""
    missing = count
    said = select.poll()
    said.register(reader, select.POLLIN)
    while missing:
        if not said.poll(SECONDS * 1000):
            return found, False
        part = os.read(reader, LONGEST)
        if not part:
            break
        *lines, text = (text + part).split(b"\n")
        for line in lines:
            number, _, answer = line.decode(errors="replace").partition(" ")
            found[int(number)] = answer
            missing -= 1
    return found, True
