"""A process's start time, which with its pid tells it from all that were and will be."""

from __future__ import annotations

import os


def started(pid: int) -> str:
    """Read a process's start time, in clock ticks since boot; empty if it does not run.

    Pid and start time together identify a process for good.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def signed(path: str) -> tuple[int, str]:
    """Read the pid file of a process of this user's, which it has signed with its start time.

    Returns:
        Pid and start time; 0 and an empty text if no such process runs.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            if os.fstat(descriptor).st_uid != os.geteuid():
                return 0, ""  # whoever wrote it chooses which process plumb ends
            pid, _, ticks = file.read().partition(" ")
    except OSError:
        return 0, ""
    lives = pid.isdecimal() and ticks and started(int(pid)) == ticks
    return (int(pid), ticks) if lives else (0, "")
