"""nf_tables expressions as bytes, for those who write rules by nfnetlink.

A rule is a list of expressions, each a name and its attributes: one loads a field into a register,
the next compares the register. The kernel dumps an expression's attributes in an order of its own.
They are written in that order here, so that a rule that plumb wrote and the same rule in a dump are
the same bytes.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from plumb.address import IPNetwork
from plumb.kernel.netlink.codec import attribute, attribute_be32
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFT_CMP_EQ,
    NFT_CMP_NEQ,
    NFT_META_L4PROTO,
    NFT_PAYLOAD_NETWORK_HEADER,
    NFT_REG_1,
    NFT_REG_VERDICT,
    NFTA_BITWISE_DREG,
    NFTA_BITWISE_LEN,
    NFTA_BITWISE_MASK,
    NFTA_BITWISE_OP,
    NFTA_BITWISE_SREG,
    NFTA_BITWISE_XOR,
    NFTA_CMP_DATA,
    NFTA_CMP_OP,
    NFTA_CMP_SREG,
    NFTA_COUNTER_BYTES,
    NFTA_COUNTER_PACKETS,
    NFTA_DATA_VALUE,
    NFTA_DATA_VERDICT,
    NFTA_EXPR_DATA,
    NFTA_EXPR_NAME,
    NFTA_IMMEDIATE_DATA,
    NFTA_IMMEDIATE_DREG,
    NFTA_LIST_ELEM,
    NFTA_META_DREG,
    NFTA_META_KEY,
    NFTA_PAYLOAD_BASE,
    NFTA_PAYLOAD_DREG,
    NFTA_PAYLOAD_LEN,
    NFTA_PAYLOAD_OFFSET,
    NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
)

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132}
IFNAMSIZ = 16
remembered = lru_cache(maxsize=4096)
"""Encoded parts: most rules differ from others by one word."""


class NotInVocabulary(ValueError):
    """A rule has a word that only iptables or nft itself can translate."""


def expression(name: str, *parts: bytes) -> bytes:
    """An expression: its name, and its attributes."""
    data = attribute(NFTA_EXPR_DATA, b"".join(parts))
    return attribute(NFTA_LIST_ELEM, _name(name) + data)


@remembered
def _name(name: str) -> bytes:
    return attribute(NFTA_EXPR_NAME, name)


EQUAL, UNEQUAL = (
    attribute_be32(NFTA_CMP_SREG, NFT_REG_1) + attribute_be32(NFTA_CMP_OP, comparison)
    for comparison in (NFT_CMP_EQ, NFT_CMP_NEQ)
)


@remembered
def meta(key: int) -> bytes:
    """Load what the kernel knows of a packet besides its bytes (NFT_META_…)."""
    return expression(
        "meta", attribute_be32(NFTA_META_KEY, key), attribute_be32(NFTA_META_DREG, NFT_REG_1)
    )


@remembered
def payload(base: int, offset: int, length: int) -> bytes:
    """Load bytes of a header (NFT_PAYLOAD_…_HEADER)."""
    return expression(
        "payload",
        attribute_be32(NFTA_PAYLOAD_DREG, NFT_REG_1),
        attribute_be32(NFTA_PAYLOAD_BASE, base),
        attribute_be32(NFTA_PAYLOAD_OFFSET, offset),
        attribute_be32(NFTA_PAYLOAD_LEN, length),
    )


def compare(value: bytes, negated: bool = False) -> bytes:
    """Compare what was loaded."""
    data = attribute(NFTA_CMP_DATA, attribute(NFTA_DATA_VALUE, value))
    return expression("cmp", UNEQUAL if negated else EQUAL, data)


@remembered
def masked(mask: bytes) -> bytes:
    """Keep of what was loaded the bits of a mask."""
    return expression(
        "bitwise",
        attribute_be32(NFTA_BITWISE_SREG, NFT_REG_1),
        attribute_be32(NFTA_BITWISE_DREG, NFT_REG_1),
        attribute_be32(NFTA_BITWISE_LEN, len(mask)),
        attribute_be32(NFTA_BITWISE_OP, 0),
        attribute(NFTA_BITWISE_MASK, attribute(NFTA_DATA_VALUE, mask)),
        attribute(NFTA_BITWISE_XOR, attribute(NFTA_DATA_VALUE, bytes(len(mask)))),
    )


COUNTER = expression(
    "counter", attribute(NFTA_COUNTER_BYTES, bytes(8)), attribute(NFTA_COUNTER_PACKETS, bytes(8))
)
COUNTED = COUNTER[: -(8 + 4 + 8)]
"""A counter's expression up to the first of its two numbers."""


def uncounted(expressions: bytes) -> bytes:
    """Expressions as they are before a packet has come."""
    at = expressions.find(COUNTED)
    if at < 0:
        return expressions
    end = at + len(COUNTER)
    return expressions[:at] + COUNTER + expressions[end:]


@remembered
def protocol(negated: bool, name: str) -> bytes:
    """Compare the protocol above IP.

    Raises:
        KeyError: an unknown name.
    """
    return meta(NFT_META_L4PROTO) + compare(bytes([PROTOCOLS[name]]), negated)


def address(offset: int, negated: bool, prefix: IPNetwork) -> bytes:
    """Compare an address: its first bytes where the prefix is whole bytes, else under a mask.

    Raises:
        NotInVocabulary: the prefix has no bits.
    """
    packed, length = prefix.network_address.packed, prefix.prefixlen
    whole = length % 8 == 0
    size = length // 8 if whole else len(packed)
    if not size:
        raise NotInVocabulary(str(prefix))
    mask = b"" if whole else masked(prefix.netmask.packed)
    loaded = payload(NFT_PAYLOAD_NETWORK_HEADER, offset, size)
    return loaded + mask + compare(packed[:size], negated)


@remembered
def verdict(code: int, chain: str = "") -> bytes:
    """End the rule with a verdict, or a jump to a chain."""
    parts = attribute(NFTA_VERDICT_CODE, struct.pack(">i", code))
    if chain:
        parts += attribute(NFTA_VERDICT_CHAIN, chain)
    return expression(
        "immediate",
        attribute_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT),
        attribute(NFTA_IMMEDIATE_DATA, attribute(NFTA_DATA_VERDICT, parts)),
    )


@remembered
def immediate(register: int, value: bytes) -> bytes:
    """Put a value into a register."""
    return expression(
        "immediate",
        attribute_be32(NFTA_IMMEDIATE_DREG, register),
        attribute(NFTA_IMMEDIATE_DATA, attribute(NFTA_DATA_VALUE, value)),
    )
