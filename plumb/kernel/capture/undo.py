"""Sweeping: what processes that were killed in the middle of a trace have left in the kernel is put back.

Every trace begins with it, and any command may: where there are no notes (notes.py) it costs a
system call.
"""

from __future__ import annotations

from plumb.kernel.capture import undo_log


def sweep(memory: str) -> None:
    """Do what the notes of processes that are no more say.

    Args:
        memory: the folder that remembers (Layout.run).
    """
    for path, note in undo_log.orphaned(memory):
        from plumb.kernel.capture import drop_monitor, nf_log, tracefs

        if any(part.put_back(note) for part in (nf_log, tracefs, drop_monitor)):
            undo_log.tear(path)
