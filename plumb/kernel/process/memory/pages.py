"""Pages of memory that a fork shares with the process that it was forked from.

The kernel copies such a page when one of the two writes to it, be it a reference count. Each is an
exception of the processor and a copy, on a virtual machine 4 µs; many pages at once cost half of
that (MADV_POPULATE_WRITE, madvise(2), Linux 5.14). Which pages a process has copied is in
/proc/PID/pagemap (proc_pid_pagemap(5)).
"""

from __future__ import annotations

import ctypes
import os
import resource

Spans = tuple[tuple[int, int], ...]
"""Spans of addresses: the first, and the one behind the last."""

PAGE = resource.getpagesize()
ENTRY = 8
"""Bytes of a page's entry in pagemap, of which the last has the flags."""
FLAGS, OWN = 0xE1, 0x81
"""Flags of an entry, and those of a page in memory that no other process has, and no file."""
MADV_POPULATE_WRITE = 23
_OWN_PAGES = bytes(flags & FLAGS == OWN for flags in range(256))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def writable() -> Spans:
    """Spans of this process's memory that it may write to, and a fork of it has copies of."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        mapped = [line.split(maxsplit=2) for line in file]
    spans = [span.split("-") for span, mode, _ in mapped if mode == "rw-p"]
    return tuple((int(first, 16), int(end, 16)) for first, end in spans)


def copied(spans: Spans) -> bytes:
    """Tell which pages of spans this process alone has: a byte for each, 1 or 0.

    Raises:
        OSError: the kernel does not tell.
    """
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        entries = b"".join(
            os.pread(file.fileno(), (end - first) // PAGE * ENTRY, first // PAGE * ENTRY)
            for first, end in spans
        )
    return entries[ENTRY - 1 :: ENTRY].translate(_OWN_PAGES)


def copy(first: int, end: int) -> None:
    """Copy the pages of one span, as a write to each would; their contents stay.

    Raises:
        OSError: the kernel cannot, or has no memory for it.
    """
    if _libc.madvise(first, end - first, MADV_POPULATE_WRITE) != 0:
        raise OSError(ctypes.get_errno(), "madvise")
