"""Background processes of a root: the agent, and the cluster process beside it."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

from plumb.errors import KernelRefused

ARENAS = "MALLOC_ARENA_MAX"
"""Variable by which glibc gives threads no arenas of their own, each of which keeps what is freed
(mallopt(3))."""


SECONDS = 120.0
"""Time to become ready: a hundredth of it and less, unless the machine stands still."""


def launcher(module: str) -> str:
    """Text of a program that runs the `main` of a module of plumb.

    Its arguments are a file descriptor, what `main` takes, and import paths. It forks once more, so
    that it is nobody's child who would have to wait for it. Python starts without its folders of
    libraries, which it would have to look for; it is told those that it needs.

    Whoever starts it may ignore SIGCHLD; it would be told nothing of its children's ends.
    """
    return (
        "import os,sys,_signal as s; s.signal(s.SIGCHLD, s.SIG_DFL); "
        "os.fork() and os._exit(0); sys.path += sys.argv[3:]; "
        f"os.environ.pop('{ARENAS}', None); "
        f"from {module} import main; main()"
    )


def launch(what: str, program: str, arguments: Sequence[str]) -> None:
    """Start a background process, and wait until it is ready.

    Args:
        what: its name, for an error.
        program: as `launcher` makes it.
        arguments: what its `main` takes, and import paths.

    Raises:
        KernelRefused: it runs already, or could not start.
    """
    reader, writer = os.pipe()
    try:
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program, str(writer), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                pass_fds=(writer,),
                env={**os.environ, ARENAS: "1"},
            )
        finally:
            os.close(writer)
        answer = _answer(reader)
        if answer is None:
            os.killpg(child.pid, signal.SIGKILL)
            answer = f"{errno.ETIMEDOUT} it was not ready within {SECONDS:g} s"
    finally:
        os.close(reader)
    child.wait()
    if answer != "ready":
        number, _, words = answer.partition(" ")
        raise KernelRefused(
            f"add {what}",
            int(number) if number.isdigit() else 0,
            words or "it ended before it was ready",
            "'plumb agent ls' shows what there is",
        )


def _answer(reader: int) -> str | None:
    """Read what the process says: "ready", or errno and text; empty where it has ended before.

    None if it has said nothing in time.
    """
    said = select.poll()
    said.register(reader, select.POLLIN)
    if not said.poll(SECONDS * 1000):
        return None
    return os.read(reader, 4096).decode(errors="replace")
