"""A process's start time, which with its pid tells it from all that were and will be."""

from __future__ import annotations

import os
import signal

EXITS, SIGNALED = 0x4, 0x400
"""Flags of a process that ends (PF_EXITING, PF_SIGNALED; linux/sched.h)."""
HALTING = (signal.SIGKILL, signal.SIGSTOP)
STOPPED = (b"T", b"t")
"""States of a process that is stopped, by a signal or by whoever traces it."""


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


def lives(pid: int, ticks: str) -> bool:
    """True if a process runs which started then, and nobody has killed it or stopped it.

    One that was killed keeps its sockets until the kernel has come to closing them; that SIGKILL
    waits for it, or that it ends, is to be seen at once (proc_pid_stat(5): signal, flags), and so
    is that it is stopped, or SIGSTOP waits for it.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    except OSError:  # it has gone meanwhile
        return False
    finally:
        os.close(descriptor)
    ending = int(fields[6]) & (EXITS | SIGNALED) or fields[0] in STOPPED
    halted = any(int(fields[28]) >> (number - 1) & 1 for number in HALTING)
    return not ending and not halted and fields[19].decode() == ticks


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
