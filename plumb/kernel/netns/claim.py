"""Claim of a root on a network namespace: one root at a time builds in it.

The chains, the forwarding sysctls and plumb0 are there once in a network namespace, so two roots
would take away each other's. A claim must be seen by every root of the namespace, whatever mounts
and processes it sees, and must end with the namespace. A file is seen only by those who mount the
same file system, an abstract Unix socket lasts no longer than a process. So the claim is the alias
of the loopback link, which every network namespace has:

    $ ip link show lo
    1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 …
        alias plumb id=5f0c1d2e was=fp root=/var/lib/plumb

`was` names the host's settings that plumb has changed, so that a root whose record is lost can
still be taken away whole. An alias that somebody else gave the link stays in front of it. Two roots
that claim a namespace at the same moment take turns by a flock(2) on the namespace itself (nsfs),
which has the same inode for all who are in it.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field

from plumb.errors import KernelRefused
from plumb.frozen import frozen
from plumb.kernel.netlink.codec import attribute, attribute_u32, attributes, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFALIASZ,
    IFINFOMSG,
    IFLA_EXT_MASK,
    IFLA_IFALIAS,
    RTEXT_FILTER_SKIP_STATS,
    RTM_GETLINK,
    RTM_SETLINK,
)

LOOPBACK_IFINDEX = 1
SECONDS = 5.0
"""The longest wait for the turn; any process of the namespace could hold it for ever."""
WRITTEN = re.compile(
    r"(?P<others>.*?) ?\bplumb id=(?P<token>[0-9a-f]+) was=(?P<was>[a-z]*) root=(?P<root>/.*)$",
    re.S,
)


@frozen
class Claim:
    """Root that has the network namespace.

    Attributes:
        root: its path; of a long one, the beginning.
        token: hex digits that only this root's store knows.
        was: a letter for each of the host's settings that was at its default before plumb.
    """

    root: str
    token: str
    was: str = field(default="", compare=False)


def holder() -> Claim | None:
    """Return the claim on the calling thread's network namespace."""
    with Connection(NETLINK_ROUTE) as kernel:
        found = WRITTEN.fullmatch(_alias(kernel))
    return Claim(found["root"], found["token"], found["was"]) if found else None


def take(claim: Claim) -> Claim:
    """Claim the calling thread's network namespace where nobody has, or write the own claim anew.

    Returns:
        The claim that is on it now, which may be another root's.

    Raises:
        KernelRefused: the caller may not change the namespace.
    """
    with _turn(), Connection(NETLINK_ROUTE) as kernel:
        alias = _alias(kernel)
        found = WRITTEN.fullmatch(alias)
        if found and found["token"] != claim.token:
            return Claim(found["root"], found["token"], found["was"])
        _set_alias(kernel, _text(claim, found["others"] if found else alias))
    return claim


def release(claim: Claim) -> None:
    """Take a claim back; another root's stays, and so does an alias of somebody else.

    Raises:
        KernelRefused: the caller may not change the namespace.
    """
    with _turn(), Connection(NETLINK_ROUTE) as kernel:
        found = WRITTEN.fullmatch(_alias(kernel))
        if found and found["token"] == claim.token:
            _set_alias(kernel, found["others"])


def _text(claim: Claim, others: str) -> str:
    """Write the alias; the kernel takes fewer than IFALIASZ bytes, and cuts a long root's path."""
    head = f"{others} " if others else ""
    whole = f"{head}plumb id={claim.token} was={claim.was} root={claim.root}".encode()
    return whole[: IFALIASZ - 1].decode(errors="ignore")


def _alias(kernel: Connection) -> str:
    answer = kernel.get(
        RTM_GETLINK, _loopback() + attribute_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    )
    return text(attributes(answer, IFINFOMSG.size).get(IFLA_IFALIAS, b""))


def _set_alias(kernel: Connection, alias: str) -> None:
    try:
        kernel.change(RTM_SETLINK, 0, _loopback() + attribute(IFLA_IFALIAS, alias.encode()))
    except OSError as error:
        raise KernelRefused("claim the network namespace", error.errno or 0) from error


def _loopback() -> bytes:
    return IFINFOMSG.pack(0, 0, LOOPBACK_IFINDEX, 0, 0)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for the turn on the namespace, and go on without it after a while."""
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.002)
        yield
    finally:
        os.close(descriptor)
