"""Size of rule sets of nf_tables, asked of the kernel before libnftables reads them.

libnftables makes a tree and a text of all that it lists, and has no limit: with the values that are
read from them it is some thirty times what the kernel's messages take. Messages are counted as they
come, and no more are read than asked for.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from plumb.errors import KernelRefused
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
    NFT_SET_ANONYMOUS,
    NFTA_RULE_TABLE,
    NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE,
    NFTA_SET_FLAGS,
    NFTA_SET_NAME,
)

FAMILIES = {"inet": NFPROTO_INET, "ip": NFPROTO_IPV4, "ip6": NFPROTO_IPV6}
"""The families' numbers by nft's names."""
LARGEST = 8 << 20
"""Bytes of a host's tables that libnftables lists at most."""
Question = tuple[int, bytes]
"""A message's number and its body."""
WHOLE = (NFT_MSG_GETCHAIN, NFT_MSG_GETOBJ, NFT_MSG_GETFLOWTABLE)
"""Questions that the kernel answers for all tables at once."""
ABSENT = frozenset({errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT})
"""Answers of a kernel that has no such objects, or whose table is gone."""


def refuse_larger(tables: Collection[tuple[str, str]], most: int = LARGEST) -> None:
    """Refuse tables that libnftables is not to list, see `exceeded`.

    Raises:
        KernelRefused: they are larger.
        OSError: the kernel's errno.
    """
    if tables and exceeded(tables, most):
        raise KernelRefused("read the rules", 0, f"nf_tables has more than {most >> 20} MiB")


def exceeded(tables: Iterable[tuple[str, str]], most: int) -> bool:
    """True if the rules, sets and chains of tables are larger.

    Elements of sets that stand in rules are counted, as they are listed with them; those of named
    sets are not.

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
    sets: list[Question] = []

    def counts(kind: int, message: bytes) -> bool:
        mine = _table(message) in wanted
        if mine and kind == NFT_MSG_GETSET and _in_rule(message):
            sets.append(_elements(message))
        return mine

    left = most - _size(asked, most, counts)
    return left < 0 or _size(sets, left) > left


def _in_rule(message: bytes) -> bool:
    """True for a set without a name of its own, which stands in a rule."""
    flags = attributes(message, NFGENMSG.size).get(NFTA_SET_FLAGS, b"")
    return bool(int.from_bytes(flags) & NFT_SET_ANONYMOUS)


def _elements(message: bytes) -> Question:
    """The question for the elements of a set that the kernel has told of."""
    family, table = _table(message)
    name = text(attributes(message, NFGENMSG.size)[NFTA_SET_NAME])
    return _question(family, table, name)


def _question(family: int, table: str, name: str) -> Question:
    return NFT_MSG_GETSETELEM, (
        NFGENMSG.pack(family, 0, 0)
        + attribute(NFTA_SET_ELEM_LIST_TABLE, table)
        + attribute(NFTA_SET_ELEM_LIST_SET, name)
    )


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
    return _size([_question(FAMILIES[family], table, name)], most) > most


def _size(
    asked: Iterable[Question],
    most: int,
    counts: Callable[[int, bytes], bool] = lambda kind, message: True,
) -> int:
    """Add the lengths of the answers to questions, until they are more than so many bytes."""
    size = 0
    with Netfilter() as kernel:
        for kind, body in asked:
            try:
                with suppress(DumpInterrupted):  # the size is near enough
                    for message in kernel.stream(NFNL_SUBSYS_NFTABLES << 8 | kind, body):
                        size += len(message) if counts(kind, message) else 0
                        if size > most:
                            return size
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
    return size
