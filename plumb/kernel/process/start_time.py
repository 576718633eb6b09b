"""A process's start time, which with its pid tells it from all that were and will be."""

from __future__ import annotations


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
