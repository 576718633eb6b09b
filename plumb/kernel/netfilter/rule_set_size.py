"""Size of rule sets of nf_tables, asked of the kernel before libnftables reads them.

libnftables makes a tree and a text of all that it lists, and has no limit: with the values that are
read from them it is some thirty times what the kernel's messages take. Messages are counted as they
come, and no more are read than asked for.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import suppress

from plumb.kernel.netlink.codec import attribute, attributes, text
from plumb.kernel.netlink.connection import DumpInterrupted
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_INET,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFT_MSG_GETCHAIN,
    NFT_MSG_GETFLOWTABLE,
    NFT_MSG_GETOBJ,
    NFT_MSG_GETRULE,
    NFT_MSG_GETSET,
    NFT_MSG_GETSETELEM,
    NFTA_RULE_TABLE,
    NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE,
)

FAMILIES = {"inet": NFPROTO_INET, "ip": NFPROTO_IPV4, "ip6": NFPROTO_IPV6}
"""The families' numbers by nft's names."""
WHOLE = (NFT_MSG_GETCHAIN, NFT_MSG_GETOBJ, NFT_MSG_GETFLOWTABLE)
"""Questions that the kernel answers for all tables at once."""
ABSENT = frozenset({errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT})
"""Answers of a kernel that has no such objects, or whose table is gone."""


def exceeded(tables: Iterable[tuple[str, str]], most: int) -> bool:
    """True if the rules, sets and chains of tables are larger; elements of sets are not counted.

    Args:
        tables: families and names.
        most: bytes of the kernel's messages.

    Raises:
        OSError: the kernel's errno.
    """
    asked = [(kind, NFGENMSG.pack(0, 0, 0)) for kind in WHOLE]
    wanted = {(FAMILIES[family], table) for family, table in tables}
    for number, table in wanted:
        body = NFGENMSG.pack(number, 0, 0) + attribute(NFTA_RULE_TABLE, table)
        asked += [(NFT_MSG_GETRULE, body), (NFT_MSG_GETSET, body)]
    return _larger(asked, most, lambda message: _table(message) in wanted)


def _table(message: bytes) -> tuple[int, str]:
    """Family and name of the table that a message is about; its attribute has one number in all."""
    name = attributes(message, NFGENMSG.size).get(NFTA_RULE_TABLE, b"")
    return message[0], text(name)


def elements_exceed(family: str, table: str, name: str, most: int) -> bool:
    """True if the elements of a named set or map are larger.

    Args:
        family, table, name: of the set.
        most: bytes of the kernel's messages.

    Raises:
        OSError: the kernel's errno.
    """
    body = (
        NFGENMSG.pack(FAMILIES[family], 0, 0)
        + attribute(NFTA_SET_ELEM_LIST_TABLE, table)
        + attribute(NFTA_SET_ELEM_LIST_SET, name)
    )
    return _larger([(NFT_MSG_GETSETELEM, body)], most, lambda message: True)


def _larger(asked: Iterable[tuple[int, bytes]], most: int, counts: Callable[[bytes], bool]) -> bool:
    size = 0
    with Netfilter() as kernel:
        for kind, body in asked:
            try:
                with suppress(DumpInterrupted):  # the size is near enough
                    for message in kernel.stream(NFNL_SUBSYS_NFTABLES << 8 | kind, body):
                        size += len(message) if counts(message) else 0
                        if size > most:
                            return True
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
    return False
