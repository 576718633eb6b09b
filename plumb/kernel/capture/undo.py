"""Restoration of the kernel settings that processes killed in a trace have left behind.

Every trace begins with it, and any command may: where there are no notes (`undo_log`) it costs a
system call.
"""

from __future__ import annotations

from plumb.kernel.capture import undo_log


def sweep(memory: str) -> None:
    """Restore the settings that processes which have ended have noted.

    Args:
        memory: the folder of notes (Layout.run).
    """
    for path, note in undo_log.orphaned(memory):
        from plumb.kernel.capture import drop_monitor, nf_log, tracefs

        if any(part.put_back(note) for part in (nf_log, tracefs, drop_monitor)):
            undo_log.tear(path)
