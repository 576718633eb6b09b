"""Sweeping: what processes that were killed in the middle of a trace have left in the kernel is put back.

Every trace begins with it, and any command may: where there are no notes (notes.py) it costs a system call.
"""

from __future__ import annotations

from plumb.kernel import notes


def sweep(memory: str) -> None:
    """Do what the notes of processes that are no more say.

    Args:
        memory: the folder that remembers (Layout.run).
    """
    for path, note in notes.orphaned(memory):
        from plumb.kernel import drop_monitor, loggers, tracefs

        if any(part.put_back(note) for part in (loggers, tracefs, drop_monitor)):
            notes.tear(path)
