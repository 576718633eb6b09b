"""Mount namespaces for engines: one outlives each program in it, as a machine's does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plumb.kernel.foreign import processes
from tests import programs


@contextmanager
def private(folder: Path, hidden: Iterable[str], binds: dict[str, str]) -> Iterator[int]:
    """A mount namespace with folders of its own; a process in it.

    Args:
        folder: where the folders are made.
        hidden: the machine's folders in whose places others are, empty at first.
        binds: the machine's folders in whose places others of its own are.
    """
    lines = []
    for number, each in enumerate(hidden):
        (folder / f"hidden{number}").mkdir()
        lines.append(f"mkdir -p {each} && mount --bind {folder}/hidden{number} {each}")
    lines += [f"mkdir -p {at} && mount --bind {own} {at}" for at, own in binds.items()]
    words = ["unshare", "--mount", "--propagation", "private"]
    line = " && ".join([*lines, "echo ready", "exec cat"])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with programs.running([*words, "sh", "-c", line], **pipes) as holder:
        assert programs.line(holder) == "ready\n"
        yield holder.pid


def end_all(mounts: int) -> None:
    """Kill what an engine has left there: programs in it, and their children in others.

    Args:
        mounts: the process of `private`, which is spared.
    """
    running = processes.running()
    here = processes.identity(f"/proc/{mounts}/ns/mnt")
    left = {
        each.pid
        for each in running
        if each.pid != mounts and processes.identity(f"/proc/{each.pid}/ns/mnt") == here
    }
    for each in running:
        if each.pid in left or each.parent in left:
            with suppress(OSError):
                os.kill(each.pid, signal.SIGKILL)
