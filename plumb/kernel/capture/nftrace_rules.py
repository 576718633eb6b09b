"""A private nf_tables table whose rules mark the packets of one flow for the kernel to trace.

    table inet plumb-trace-… {                                          flags owner
        chain prerouting { type filter hook prerouting priority -350;   incoming packets
            meta nfproto ipv4 meta l4proto tcp th sport 40000 meta nftrace set 1
            meta nfproto ipv4 meta l4proto tcp th dport 40000 meta nftrace set 1 }
        chain output { type filter hook output priority -350; … }       packets from here
    }

-350 is before everything: raw is at -300, connection tracking at -200. The mark is a bit of the
packet itself (skb->nf_trace), which the legacy tables test as well, so one table traces both; plumb
changes no other program's rules. The kernel clears the bit when a packet goes on to another
namespace, so each namespace has such a table of its own.

A table of the family bridge marks packets before a bridge forwards them. With
bridge-nf-call-iptables they go on to the IP hooks, marked already.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Iterator

from plumb.frozen import frozen
from plumb.kernel.capture.flow_filter import ICMP, ICMP6, IPV4, IPV6, UDP, Asked, number
from plumb.kernel.netlink.codec import Request, attribute, attribute_be32, nest
from plumb.kernel.netlink.nfnetlink import request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_INET_LOCAL_OUT,
    NF_INET_PRE_ROUTING,
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_ARP,
    NFPROTO_BRIDGE,
    NFPROTO_INET,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFPROTO_NETDEV,
    NFT_CMP_EQ,
    NFT_META_L4PROTO,
    NFT_META_NFPROTO,
    NFT_META_NFTRACE,
    NFT_META_PROTOCOL,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_NEWTABLE,
    NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REG_1,
    NFT_TABLE_F_OWNER,
    NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME,
    NFTA_CHAIN_TABLE,
    NFTA_CHAIN_TYPE,
    NFTA_CMP_DATA,
    NFTA_CMP_OP,
    NFTA_CMP_SREG,
    NFTA_DATA_VALUE,
    NFTA_EXPR_DATA,
    NFTA_EXPR_NAME,
    NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY,
    NFTA_IMMEDIATE_DATA,
    NFTA_IMMEDIATE_DREG,
    NFTA_LIST_ELEM,
    NFTA_META_DREG,
    NFTA_META_KEY,
    NFTA_META_SREG,
    NFTA_PAYLOAD_BASE,
    NFTA_PAYLOAD_DREG,
    NFTA_PAYLOAD_LEN,
    NFTA_PAYLOAD_OFFSET,
    NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_TABLE,
    NFTA_TABLE_FLAGS,
    NFTA_TABLE_NAME,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL
from plumb.model.net.packet import ECHO_TYPES
from plumb.model.observations import Flow

PRIORITY = -350
HOOKS = (("prerouting", NF_INET_PRE_ROUTING), ("output", NF_INET_LOCAL_OUT))
NFPROTO = {4: NFPROTO_IPV4, 6: NFPROTO_IPV6}
FAMILIES = {
    NFPROTO_INET: "inet",
    NFPROTO_BRIDGE: "bridge",
    NFPROTO_IPV4: "ip",
    NFPROTO_IPV6: "ip6",
    NFPROTO_ARP: "arp",
    NFPROTO_NETDEV: "netdev",
}
"""Protocol families, as nft writes them."""
PREFIX = "plumb-trace-"
VXLAN_FRAME = 8 + 8 + 14
"""Bytes from UDP's header to the inner IP header: 8 of UDP, 8 of VXLAN, 14 of the inner frame."""


@frozen
class Match:
    """Bytes at an offset of the transport's header, which a rule compares."""

    at: int
    value: bytes


def name() -> str:
    """Make a table's name that no other trace has."""
    return PREFIX + secrets.token_hex(4)


def table(family: int, called: str, flow: Flow, asked: Asked) -> list[Request]:
    """The requests that make the table, in one transaction.

    Args:
        family: NFPROTO_INET or NFPROTO_BRIDGE.
        called: the table's name.
        flow: the flow whose packets are traced.
        asked: further packets; those inside VXLAN are traced as well.
    """
    requests = [_new_table(family, called)]
    for chain, hook in HOOKS:
        requests.append(_new_chain(family, called, chain, hook))
        for protocol, matches in _packets(flow, asked):
            version = flow.version if protocol != UDP or flow.protocol == "udp" else 0
            rule = _rule(family, version, protocol, matches)
            requests.append(_new_rule(family, called, chain, rule))
    return requests


def gone(family: int, called: str) -> Request:
    """The request that deletes the table with all its chains and rules."""
    return _request(NFT_MSG_DELTABLE, family, attribute(NFTA_TABLE_NAME, called))


def _new_table(family: int, called: str) -> Request:
    body = attribute(NFTA_TABLE_NAME, called) + attribute_be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER)
    return _request(NFT_MSG_NEWTABLE, family, body, NLM_F_CREATE | NLM_F_EXCL)


def _new_chain(family: int, called: str, chain: str, hook: int) -> Request:
    hooked = nest(
        NFTA_CHAIN_HOOK,
        attribute_be32(NFTA_HOOK_HOOKNUM, hook),
        attribute(NFTA_HOOK_PRIORITY, struct.pack(">i", PRIORITY)),
    )
    body = attribute(NFTA_CHAIN_TABLE, called) + attribute(NFTA_CHAIN_NAME, chain) + hooked
    body += attribute(NFTA_CHAIN_TYPE, "filter")
    return _request(NFT_MSG_NEWCHAIN, family, body, NLM_F_CREATE)


def _new_rule(family: int, called: str, chain: str, expressions: Iterable[bytes]) -> Request:
    body = attribute(NFTA_RULE_TABLE, called) + attribute(NFTA_RULE_CHAIN, chain)
    body += nest(NFTA_RULE_EXPRESSIONS, *expressions)
    return _request(NFT_MSG_NEWRULE, family, body, NLM_F_CREATE | NLM_F_APPEND)


def _request(kind: int, family: int, body: bytes, flags: int = 0) -> Request:
    return request(NFNL_SUBSYS_NFTABLES, kind, family, body, flags=flags)


def _packets(flow: Flow, asked: Asked) -> Iterator[tuple[int, tuple[Match, ...]]]:
    """Yield the marks of the flow's packets: a protocol, and bytes of its header."""
    own, token = number(flow), struct.pack(">H", flow.token)
    icmp = ICMP if flow.version == 4 else ICMP6
    header, protocol_at = (20, 9) if flow.version == 4 else (40, 6)
    ports = (4,) if flow.protocol == "icmp" else (0, 2)
    if flow.protocol == "icmp":
        for kind in ECHO_TYPES[flow.version]:
            yield own, (Match(0, bytes([kind])), Match(4, token))
    else:
        for at in ports:
            yield own, (Match(at, token),)
    for at in ports:  # an error quotes the packet: a header without options
        yield icmp, (Match(8 + protocol_at, bytes([own])), Match(8 + header + at, token))
    for port in asked.vxlan:
        for at in ports:
            yield (
                UDP,
                (
                    Match(2, struct.pack(">H", port)),
                    Match(VXLAN_FRAME + protocol_at, bytes([own])),
                    Match(VXLAN_FRAME + header + at, token),
                ),
            )


def _rule(family: int, version: int, protocol: int, matches: tuple[Match, ...]) -> Iterator[bytes]:
    """The expressions of a rule that marks packets with these bytes."""
    if version and family == NFPROTO_BRIDGE:
        yield from _meta(NFT_META_PROTOCOL, struct.pack(">H", IPV4 if version == 4 else IPV6))
    elif version:
        yield from _meta(NFT_META_NFPROTO, bytes([NFPROTO[version]]))
    yield from _meta(NFT_META_L4PROTO, bytes([protocol]))
    for match in matches:
        yield _payload(match)
        yield _equal(match.value)
    yield _expression(
        "immediate",
        attribute_be32(NFTA_IMMEDIATE_DREG, NFT_REG_1),
        nest(NFTA_IMMEDIATE_DATA, attribute(NFTA_DATA_VALUE, b"\x01")),
    )
    yield _expression(
        "meta",
        attribute_be32(NFTA_META_KEY, NFT_META_NFTRACE),
        attribute_be32(NFTA_META_SREG, NFT_REG_1),
    )


def _payload(match: Match) -> bytes:
    """Load the bytes of the transport's header that are to be compared."""
    return _expression(
        "payload",
        attribute_be32(NFTA_PAYLOAD_DREG, NFT_REG_1),
        attribute_be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER),
        attribute_be32(NFTA_PAYLOAD_OFFSET, match.at),
        attribute_be32(NFTA_PAYLOAD_LEN, len(match.value)),
    )


def _meta(key: int, value: bytes) -> Iterator[bytes]:
    yield _expression(
        "meta", attribute_be32(NFTA_META_DREG, NFT_REG_1), attribute_be32(NFTA_META_KEY, key)
    )
    yield _equal(value)


def _equal(value: bytes) -> bytes:
    return _expression(
        "cmp",
        attribute_be32(NFTA_CMP_SREG, NFT_REG_1),
        attribute_be32(NFTA_CMP_OP, NFT_CMP_EQ),
        nest(NFTA_CMP_DATA, attribute(NFTA_DATA_VALUE, value)),
    )


def _expression(kind: str, *parts: bytes) -> bytes:
    return nest(NFTA_LIST_ELEM, attribute(NFTA_EXPR_NAME, kind), nest(NFTA_EXPR_DATA, *parts))


def family_name(family: int) -> str:
    """A protocol family as nft writes it."""
    return FAMILIES.get(family, str(family))
