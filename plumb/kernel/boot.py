"""Boot: the id that the kernel has given to this boot of the machine."""

from __future__ import annotations

from functools import cache

FILE = "/proc/sys/kernel/random/boot_id"


@cache
def boot_id() -> str:
    """Return the id of this boot, which no process outlives; empty where it is not told."""
    try:
        with open(FILE, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
