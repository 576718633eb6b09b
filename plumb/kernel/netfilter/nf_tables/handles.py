"""Handles of the rules that others go before, for a process that goes on.

The rule that drops what is not published is the last of its chain, behind one rule for each
published port; to find its handle is to have the kernel dump them all. A handle is a rule's for
good: the kernel gives no number twice in a table, and a rule that is replaced gets another. So it
is known by the namespace's cookie, which is one for a boot (SO_NETNS_COOKIE, Linux 5.14), and by
the table's own handle. A rule that is gone is refused (ENOENT).
"""

from __future__ import annotations

from plumb.kernel.netlink.codec import attribute, attributes, be_number, number
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETTABLE,
    NFTA_TABLE_HANDLE,
    NFTA_TABLE_NAME,
)
from plumb.kernel.netlink.uapi.linux_netlink import SO_NETNS_COOKIE

MOST = 4096
"""Handles that are known at once."""
Table = tuple[int, int]
"""A table's identity: the cookie of its namespace, and its handle."""
_KNOWN: dict[tuple[Table, str, str], int] = {}


def table_identity(netfilter: Netfilter, protocol: int, table: str) -> Table | None:
    """Ask for a table's identity; None where there is no such table, or the kernel has no cookies.

    Args:
        netfilter: a connection in the namespace.
        protocol: the table's family, as a number (NFPROTO_…); table: its name.
    """
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE
    head = NFGENMSG.pack(protocol, 0, 0)
    try:
        cookie = number(netfilter.option(SO_NETNS_COOKIE, 8))
        found = attributes(
            netfilter.get(kind, head + attribute(NFTA_TABLE_NAME, table)), NFGENMSG.size
        )
    except OSError:
        return None
    return cookie, be_number(found[NFTA_TABLE_HANDLE])


def known(table: Table, chain: str, spec: str) -> int | None:
    """A rule's handle, if it was found before."""
    return _KNOWN.get((table, chain, spec))


def remember(table: Table, chain: str, spec: str, handle: int) -> None:
    """Keep a rule's handle."""
    if len(_KNOWN) >= MOST:
        _KNOWN.clear()
    _KNOWN[table, chain, spec] = handle


def forget() -> None:
    """Know no handle any more: one of them was refused."""
    _KNOWN.clear()
