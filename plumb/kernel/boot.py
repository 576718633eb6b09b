"""Boot: the id that the kernel has given to this boot of the machine."""

from __future__ import annotations

FILE = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Return the id of this boot; empty where the kernel does not tell it."""
    try:
        with open(FILE, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
