"""Snapshot of a host: everything related to its network that a program could leave behind.

    links, addresses, routes, rules     of the network namespace
    nftables                            all tables, those of iptables-nft too
    iptables                            existing legacy tables, by their size and a hash
    sysctls                             net.*; of links those that containers' networks need
    mounts                              of the mount namespace
    processes, namespaces               descendants of the calling process; the namespaces that
                                        they and it hold
    descriptors                         open files of the calling process

Every test that uses a lab takes one before and one after, so it must be quick. The ruleset is the
slow part: it is read only when nf_tables' generation has changed, a number that the kernel
increments with every change (NFT_MSG_GETGEN).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import struct
import subprocess
from collections.abc import Collection, Iterator
from contextlib import suppress

from plumb.kernel.netlink.codec import attributes, be_number
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNETLINK_V0,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETGEN,
    NFTA_GEN_ID,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER
from plumb.kernel.netns import snapshot_rtnl
from plumb.kernel.netns.setns import SELF, libc

IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES = 64, 65
LEGACY = {
    "iptables": ("/proc/net/ip_tables_names", socket.AF_INET, 0, 84),
    "ip6tables": ("/proc/net/ip6_tables_names", socket.AF_INET6, 41, 136),
}
"""Tools with their tables.

The file that names the tables, family, socket level, and size of a rule's address part.
"""
OF_LINKS = ("net/ipv4/conf", "net/ipv6/conf", "net/ipv4/neigh", "net/ipv6/neigh")
LINK_SETTINGS = (
    "ipv4/conf/{}/forwarding",
    "ipv4/conf/{}/rp_filter",
    "ipv4/conf/{}/route_localnet",
    "ipv4/conf/{}/proxy_arp",
    "ipv4/conf/{}/arp_ignore",
    "ipv4/conf/{}/arp_announce",
    "ipv4/conf/{}/accept_local",
    "ipv6/conf/{}/forwarding",
    "ipv6/conf/{}/disable_ipv6",
    "ipv6/conf/{}/accept_ra",
    "ipv6/conf/{}/proxy_ndp",
    "ipv6/conf/{}/accept_dad",
)
CHANGING = frozenset({"net/netfilter/nf_conntrack_count"})
Snapshot = dict[str, list[str]]

_rulesets: dict[tuple[int, int], list[str]] = {}


def take(known: Collection[int] = (), excluded: Collection[int] = ()) -> Snapshot:
    """Take a snapshot of the calling thread's host, by section, each a list of lines.

    Args:
        known: file descriptors to leave out.
        excluded: processes to leave out, with all of their descendants.
    """
    found = snapshot_rtnl.layer3()
    processes = dict(_processes(os.getpid(), frozenset(excluded)))
    held = _descriptors(known)
    return {
        **found,
        "nftables": nftables(),
        "iptables": list(_legacy()),
        "sysctls": _sysctls(found["links"]),
        "mounts": _mounts(),
        "processes": sorted(processes.values()),
        "namespaces": _namespaces(processes),
        "descriptors": held,
    }


def nftables() -> list[str]:
    """List the ruleset of nf_tables, without counters; [] if there is none."""
    generation = _generation()
    if generation is None:
        return []
    key = (os.stat(SELF).st_ino, generation)
    if key not in _rulesets:
        with suppress(FileNotFoundError):
            ran = subprocess.run(
                ["nft", "-s", "list", "ruleset"], capture_output=True, text=True, check=False
            )
            _rulesets.clear()
            _rulesets[key] = list(_with_context(ran.stdout))
    return _rulesets.get(key, [])


def _with_context(ruleset: str) -> Iterator[str]:
    """Prefix each line of a ruleset with its table and chain, so that a difference is clear."""
    context: list[str] = []
    for line in ruleset.splitlines():
        words = line.strip()
        if words == "}":
            context.pop()
        elif words.endswith("{"):
            context.append(words[:-1].strip())
            yield " ".join(context)
        elif words:
            yield " ".join([*context, words])


def _generation() -> int | None:
    """The number of changes to nf_tables' rules; None where the kernel has no nf_tables."""
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN
    with Connection(NETLINK_NETFILTER) as kernel:
        try:
            payload = kernel.get(kind, NFGENMSG.pack(socket.AF_UNSPEC, NFNETLINK_V0, 0))
        except OSError:
            return None
    return be_number(attributes(payload, NFGENMSG.size)[NFTA_GEN_ID])


# -- the legacy tables ---------------------------------------------------------------


def _legacy() -> Iterator[str]:
    """Describe each existing table: number of rules, and a hash.

    A query for another table would create it.
    """
    for tool, (names, family, level, size) in LEGACY.items():
        tables = _read(names).split()
        if tables:
            with socket.socket(
                family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW
            ) as sock:
                for table in sorted(tables):
                    yield f"{tool} {table}: {_table(sock.fileno(), table, level, size)}"


def _table(sock: int, table: str, level: int, size: int) -> str:
    info = ctypes.create_string_buffer(table.encode(), 84)
    length = ctypes.c_uint32(84)
    if libc.getsockopt(sock, level, IPT_SO_GET_INFO, info, ctypes.byref(length)) != 0:
        return "not readable"
    count, total = struct.unpack_from("=II", info.raw, 76)
    entries = ctypes.create_string_buffer(table.encode(), 40 + total)
    struct.pack_into("=I", entries, 32, total)
    length = ctypes.c_uint32(40 + total)
    if libc.getsockopt(sock, level, IPT_SO_GET_ENTRIES, entries, ctypes.byref(length)) != 0:
        return "not readable"
    # The hash tells states apart, nothing more.
    digest = hashlib.sha1(_without_counters(entries.raw[40:], size)).hexdigest()  # noqa: S324
    return f"{count} entries, {digest[:12]}"


def _without_counters(entries: bytes, size: int) -> bytes:
    """Clear the counters in a list of the kernel's struct ipt_entry.

    Addresses, nfcache, two offsets, comefrom, and the counters on the next multiple of eight.
    """
    found, at = bytearray(entries), 0
    counters = (size + 12 + 7) & ~7
    while at + counters + 16 <= len(found):
        step = struct.unpack_from("=H", found, at + size + 6)[0]
        found[at + size : at + size + 4] = bytes(4)
        found[at + counters : at + counters + 16] = bytes(16)
        if not step:
            break
        at += step
    return bytes(found)


# -- /proc ---------------------------------------------------------------


def _sysctls(links: list[str]) -> list[str]:
    names = [
        f"net/{pattern.format(link.split()[0])}" for link in links for pattern in LINK_SETTINGS
    ]
    return [
        f"{name} = {value}"
        for name in sorted([*_common(), *names])
        if (value := _read(f"/proc/sys/{name}")) != ""
    ]


def _common() -> Iterator[str]:
    """Iterate over the settings that do not belong to a link."""
    for folder, folders, files in os.walk("/proc/sys/net"):
        path = folder.removeprefix("/proc/sys/")
        if path in OF_LINKS:
            folders[:] = [name for name in folders if name in ("all", "default")]
        yield from (name for file in files if (name := f"{path}/{file}") not in CHANGING)


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return " ".join(os.read(descriptor, 1 << 16).decode(errors="replace").split())
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _mounts() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        fields = [line.split() for line in file]
    return sorted(
        f"{words[words.index('-') + 2]} on {words[4]} type {words[words.index('-') + 1]}"
        for words in fields
    )


def _processes(pid: int, excluded: frozenset[int]) -> Iterator[tuple[int, str]]:
    """Iterate over a process's descendants: pid and command line."""
    children: list[str] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                children += file.read().split()
    for child in map(int, children):
        if child not in excluded:
            words = _read(f"/proc/{child}/cmdline").replace("\0", " ").strip()
            words = words or _read(f"/proc/{child}/comm") or "ended, and nobody waits for it"
            yield child, f"pid {child}: {words}"
            yield from _processes(child, excluded)


def _namespaces(processes: Collection[int]) -> list[str]:
    """List the network namespaces that the calling process and its children hold open or are in.

    The host's own is left out. A namespace is identified by its file's inode, in a file system of
    the kernel (nsfs).
    """
    home = os.stat("/proc/self/ns/net")
    held: set[str] = set()
    for pid in (os.getpid(), *processes):
        places = [f"/proc/{pid}/ns/net"]
        with suppress(OSError):
            places += [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
        for path in places:
            with suppress(OSError):
                found = os.stat(path)
                if found.st_dev == home.st_dev and found.st_ino != home.st_ino:
                    held.add(f"[{found.st_ino}] of pid {pid}")
    return sorted(held)


def _descriptors(known: Collection[int]) -> list[str]:
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    named = [
        (number, _link(f"/proc/self/fd/{number}")) for number in numbers if number not in known
    ]
    return sorted(
        f"{number}: {name}" for number, name in named if name and not name.startswith("/proc/")
    )


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
