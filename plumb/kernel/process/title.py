"""A process's title: the name that `ps` shows for it."""

from __future__ import annotations


def set_title(name: str) -> None:
    """Name the calling process; 15 letters are kept (proc_pid_comm(5))."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name[:15])
