"""What the trials of plumb share: killed, crowded, damaged, with commands in it, heard on the wire.

They wait for a condition, not for a while; they know their own processes by a mark that all
descendants inherit in their environment; and they run command lines in forks, which have everything
imported already: a tenth of the time."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from plumb.kernel.process.logs import json_file
from tests import forked, labs
from tests.labs import Lab

MARK = "PLUMB_TESTS_MARK"


def marked(lab: Lab) -> dict[int, str]:
    """All processes that run with this lab's mark in their environment: pid and command line."""
    mark, found = f"{MARK}={lab.root}".encode(), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (
                        (entry / "cmdline")
                        .read_bytes()
                        .replace(b"\0", b" ")
                        .decode(errors="replace")
                    )
            except OSError:
                continue  # it has ended meanwhile
    return found


def end_all(lab: Lab) -> None:
    """Kill what a test that failed has left running."""
    for pid in marked(lab):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


JOURNAL = ("events", "events.1")
"""Files of what has happened, which a killed command may not have come to."""


def printed_so_far(log: Path) -> str:
    """Text of a container's log."""
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    return b"".join(json_file.decode(line)[2] for line in lines).decode()


def host(lab: Lab) -> dict[str, list[str]]:
    """The host as the system's own tools show it, what is mounted, and what lies under the root."""
    paths = lab.root.rglob("*") if lab.root.exists() else ()
    left = [str(path) for path in paths if path.name not in JOURNAL]
    return {**labs.state(), "mounts": labs.mounts(), "files": left}


def fork_plumb(lab: Lab, *argv: str, env: dict[str, str] | None = None) -> int:
    """Run a command line in a fork of this process, in a session of its own; its pid."""
    own = {"PLUMB_ROOT": str(lab.root), "PLUMB_CONFIG": "", MARK: str(lab.root), **(env or {})}
    output = os.open(output_of(lab), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return forked.start(argv, {**os.environ, **own}, (output, output), os.setsid)
    finally:
        os.close(output)


def output_of(lab: Lab) -> Path:
    """Where the forks' output goes."""
    return lab.root.parent / "output"


def tried(lab: Lab, *argv: str) -> tuple[int, str]:
    """Run a command line in a fork: its exit status, and what it printed."""
    output_of(lab).unlink(missing_ok=True)
    status = os.waitstatus_to_exitcode(os.waitpid(fork_plumb(lab, *argv), 0)[1])
    return status, output_of(lab).read_text()


def plumb(lab: Lab, *argv: str) -> str:
    """Run a command line in a fork and see that it succeeds; what it printed."""
    status, printed = tried(lab, *argv)
    assert status == 0, f"plumb {' '.join(argv)}: {status}: {printed}"
    return printed
