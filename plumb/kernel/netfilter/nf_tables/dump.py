"""The rules of a chain as the kernel dumps them, and how one of them is found.

Hundreds of published ports are hundreds of rules of a chain. To take each message apart takes ten
times as long as the kernel takes to write it: so the messages are kept as they came, and searched
for the bytes of a rule's expressions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from plumb.kernel.netfilter.nf_tables.expressions import COUNTED, uncounted
from plumb.kernel.netlink.codec import attribute, attributes, be_number
from plumb.kernel.netlink.nfnetlink import Netfilter
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_GETGEN,
    NFT_MSG_GETRULE,
    NFTA_GEN_ID,
    NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_HANDLE,
    NFTA_RULE_TABLE,
    NFTA_RULE_USERDATA,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLATTR

FEW = 8
"""Searches through a chain's messages that take less time than to take them all apart."""


class ListedRule(NamedTuple):
    """A rule in a dump.

    Its handle, its expressions with the counter at zero, and what nft has written beside them.
    """

    handle: int
    expressions: bytes
    userdata: bytes


class ChainDump:
    """The rules of a chain, in its order.

    Args:
        bodies: the messages, without the netlink header.
    """

    def __init__(self, bodies: list[bytes]) -> None:
        self.bodies = bodies
        self._searches = 0
        self._index: dict[bytes, list[ListedRule]] = {}

    def rules(self) -> list[ListedRule]:
        """Take all of them apart."""
        return [_listed(body) for body in self.bodies]

    def handles(self, expressions: bytes, userdata: bytes | None = None) -> Iterator[int]:
        """Yield the handles of the rules that have these expressions, in the chain's order.

        Args:
            expressions: with the counter at zero; userdata: what nft has beside them, None for any.
        """
        for rule in self._alike(expressions):
            if rule.expressions == expressions and userdata in (None, rule.userdata):
                yield rule.handle

    def _alike(self, expressions: bytes) -> Iterator[ListedRule]:
        """Yield the rules that may have these expressions."""
        self._searches += 1
        if self._searches > FEW:
            yield from self._indexed(expressions)
            return
        at = expressions.find(COUNTED)
        part = expressions if at < 0 else expressions[: at + len(COUNTED)]
        part = NLATTR.pack(NLATTR.size + len(expressions), NFTA_RULE_EXPRESSIONS) + part
        for body in self.bodies:
            if part in body:
                yield _listed(body)

    def _indexed(self, expressions: bytes) -> list[ListedRule]:
        if not self._index:
            for rule in self.rules():
                self._index.setdefault(rule.expressions, []).append(rule)
        return self._index.get(expressions, [])


def _listed(body: bytes) -> ListedRule:
    found = attributes(body, NFGENMSG.size)
    return ListedRule(
        be_number(found[NFTA_RULE_HANDLE]),
        uncounted(found[NFTA_RULE_EXPRESSIONS]),
        found.get(NFTA_RULE_USERDATA, b""),
    )


def generation(netfilter: Netfilter) -> int:
    """Ask for the number of the ruleset, which every change of it raises."""
    answer = netfilter.get(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NFGENMSG.pack(0, 0, 0))
    return be_number(attributes(answer, NFGENMSG.size)[NFTA_GEN_ID])


def dump_rules(netfilter: Netfilter, protocol: int, table: str, chain: str = "") -> list[bytes]:
    """Dump the rules of a chain, or of a table; none where there is no such chain.

    Args:
        netfilter: a connection in the namespace.
        protocol: the table's family, as a number (NFPROTO_…).
        table: its name; chain: the chain's, empty for all of the table.
    """
    named = attribute(NFTA_RULE_TABLE, table)
    named += attribute(NFTA_RULE_CHAIN, chain) if chain else b""
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE
    return netfilter.dump(kind, NFGENMSG.pack(protocol, 0, 0) + named)
