"""The legacy tables as python-iptables has them, which calls the C library of iptables-legacy.

The library fetches a table from the kernel, changes the copy, and puts the whole table back in one
system call, which fails if somebody else changed it meanwhile. iptables-legacy guards that with a
lock file, which is taken here too.

Two of its properties matter here. The extension libxt_NAT.so, which holds MASQUERADE, SNAT and
DNAT for both families, registers its targets in its constructor, and only those of the family that
is active when it is first loaded; the other family never gets them. So a private copy of it is
loaded for each family. And a table object belongs to the namespace in which it was made: every use
begins with a refresh.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netfilter import error_hints
from plumb.kernel.netfilter.iptables_legacy.encode import ENTRY, HEADER, STANDARD
from plumb.kernel.netfilter.vocabulary import Extension
from plumb.things.iptables import Family

LOCK = os.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
PROTOCOL = {Family.V4: 2, Family.V6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
VERSION = {Family.V4: 4, Family.V6: 6}
NAME = 2
"""Where a target has its name, which is empty for the standard target."""


@cache
def library() -> Any:
    """python-iptables, with the NAT targets of both families.

    Raises:
        Unsupported: it or its C libraries are missing.
    """
    try:
        import iptc
        import iptc.xtables
    # Where the C libraries are missing, python-iptables raises any error of ctypes.
    except Exception as error:
        raise Unsupported(
            f"python-iptables cannot be used: {error}", "install iptables (its C libraries)"
        ) from error
    for number in PROTOCOL.values():
        _load_nat(iptc.xtables, number)
    return iptc


def _load_nat(xtables: Any, number: int) -> None:
    """Register the NAT targets of one family, by a copy of libxt_NAT.so for it."""
    library = Path(os.environ.get("XTABLES_LIBDIR", "") or xtables._xtables_libdir) / "libxt_NAT.so"
    if not library.exists():
        return  # before iptables 1.8.8 each family had a library of its own
    copy = os.memfd_create(library.name)
    os.write(copy, library.read_bytes())
    xtables.xtables(number)
    xtables.xtables._xtables_set_nfproto(number)
    ctypes.CDLL(f"/proc/self/fd/{copy}")
    os.close(copy)


def has(family: Family, kind: str, extension: Extension) -> bool:
    """True if an extension is what the C library would write on this kernel.

    It takes the newest revision that both know. An older one would have another struct.

    Args:
        kind: "match" or "target".
    """
    return _newest(family, kind, extension.name) == (extension.revision, len(extension.padded))


@cache
def _newest(family: Family, kind: str, name: str) -> tuple[int, int] | None:
    """Revision of an extension, and bytes of its padded struct; None where there is none."""
    xtables = library().xtables.xtables(PROTOCOL[family])
    found = (xtables.find_match if kind == "match" else xtables.find_target)(name)
    return (found[0].revision, -(-found[0].size // 8) * 8) if found else None


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock that iptables-legacy takes.

    Raises:
        KernelRefused: the lock file cannot be made.
    """
    try:
        descriptor = os.open(LOCK, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelRefused(f"lock {LOCK}", error.errno or 0) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def opened(family: Family, name: str) -> Any:
    """A table as the kernel has it now, in the calling thread's namespace.

    Raises:
        KernelRefused: the kernel has no such table.
    """
    iptc = library()
    try:
        table = (iptc.Table if family is Family.V4 else iptc.Table6)(name, autocommit=False)
        table.autocommit = False
        table.refresh()
    except iptc.IPTCError as error:
        raise KernelRefused(
            f"open {family} table {name}",
            0,
            str(error),
            error_hints.of_iptables(f"{family} {error}"),
        ) from error
    return table


def has_chain(table: Any, name: str) -> bool:
    """True if a table has a chain, built in or not."""
    return bool(table.is_chain(name) or table.builtin_chain(name))


def entries(family: Family, table: Any, chain: str) -> Iterator[bytes]:
    """Yield the rules of a chain, in its order, in the form of `encode`."""
    head = ENTRY[VERSION[family]]
    entry = table.first_rule(chain) if has_chain(table, chain) else None
    while entry:
        raw = ctypes.string_at(ctypes.addressof(entry), entry.next_offset)
        *tests, _, offset, size = head.unpack_from(raw)
        parts = [head.pack(*tests, 0, offset, size)]
        at = head.size
        while at < offset:
            part = _extension(raw, at)
            parts.append(part)
            at += len(part)
        if raw[offset + NAME]:
            parts.append(_extension(raw, offset))
        else:  # a verdict or a jump, which libiptc names
            name = table.get_target(entry)
            parts.append(HEADER.pack(HEADER.size + len(STANDARD), name, 0) + STANDARD)
        yield b"".join(parts)
        entry = table.next_rule(entry)


def _extension(raw: bytes, at: int) -> bytes:
    """A match or a target; behind its name iptables-legacy leaves what was in its memory."""
    size, name, revision = HEADER.unpack_from(raw, at)
    return HEADER.pack(size, name.partition(b"\0")[0], revision) + raw[at + HEADER.size : at + size]
