"""Loggers: the part of the kernel that logs packets for a namespace's packet filter, by family.

/proc/sys/net/netfilter/nf_log/2 (10 for IPv6) has the name of the logger that is bound, or NONE. A
trace of the legacy tables binds nfnetlink_log for its time. A binding is the namespace's, not a
socket's, and outlives the process that made it: so plumb writes a note before it changes one
(`undo_log`), restores it afterwards, and the next command does so if the process was killed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count

from plumb.errors import KernelRefused
from plumb.kernel.capture import undo_log
from plumb.kernel.capture.undo_log import Note
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.netns.setns import SELF

LOGGER, NONE = "nfnetlink_log", "NONE"
SETTING = "/proc/sys/net/netfilter/nf_log/{}"
FAMILIES = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
_numbers = count(1)


class SavedNfLog:
    """The logger of one family in the calling thread's namespace, noted down to be put back.

    Args:
        version: 4 or 6.
        ns: the namespace's file, empty for where the thread is.
        memory: the folder for the note.
    """

    def __init__(self, version: int, ns: str, memory: str) -> None:
        self._setting = SETTING.format(FAMILIES[version])
        self._before = _read(self._setting)
        self._note = ""
        if self._before != LOGGER:
            here = os.stat(SELF)
            self._note = undo_log.write(
                memory,
                next(_numbers),
                {
                    "setting": self._setting,
                    "value": self._before,
                    "ns": ns,
                    "device": here.st_dev,
                    "inode": here.st_ino,
                },
            )

    def put_back(self) -> None:
        """Bind what was bound, in the calling thread's namespace, which is the same."""
        if self._note:
            _put_back(self._setting, self._before)
            undo_log.tear(self._note)


def put_back(note: Note) -> bool:
    """Do what the note of a killed process says; whether it is done with.

    A namespace that cannot be found any more is gone, and its loggers with it.
    """
    if "setting" not in note:
        return False
    path = _found(note)
    if path is None:
        return True
    try:
        with entered(path):
            _put_back(note["setting"], note["value"])
    except (OSError, KernelRefused):
        return False
    return True


def _found(note: Note) -> str | None:
    """A file of that very namespace: where it was, here, or that of a process in it."""
    wanted = (note["device"], note["inode"])
    ns = str(note["ns"])
    if _identity(SELF) == wanted:
        return ""
    if ns and _identity(ns) == wanted:
        return ns
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _identity(path := f"/proc/{entry}/ns/net") == wanted:
            return path
    return None


def _identity(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


def _put_back(setting: str, value: str) -> None:
    """Bind a logger again, unless somebody has bound another meanwhile."""
    if _read(setting) == LOGGER:
        with open(setting, "w", encoding="ascii") as file:
            file.write(value)


def _read(setting: str) -> str:
    with open(setting, encoding="ascii") as file:
        return file.read().strip()
