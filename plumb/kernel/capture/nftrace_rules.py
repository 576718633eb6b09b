"""The trigger: a private nf_tables table whose rules mark the packets of one flow, and the kernel tells the way of marked ones.

    table inet plumb-trace-… {                                          flags owner
        chain prerouting { type filter hook prerouting priority -350;   what comes in by a link
            meta nfproto ipv4 meta l4proto tcp th sport 40000 meta nftrace set 1
            meta nfproto ipv4 meta l4proto tcp th dport 40000 meta nftrace set 1 }
        chain output { type filter hook output priority -350; … }       what is sent from here
    }

-350 is before everything: raw is at -300, connection tracking at -200. The mark is a bit of the
packet itself (skb->nf_trace), which the legacy tables look at as well, so one trigger traces both;
no rule of anybody else is touched. The kernel clears the bit when a packet goes on to another
namespace, so each has a trigger of its own.

A table of the family bridge marks packets before a bridge forwards them. With
bridge-nf-call-iptables they go on to the IP hooks, marked already.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from plumb.kernel.capture.flow_filter import ECHO, ICMP, ICMP6, IPV4, IPV6, UDP, Asked, number
from plumb.kernel.netlink.codec import CREATE, EXCL, attribute, nest
from plumb.kernel.netlink.nfnetlink import NFTABLES, message
from plumb.model.observations import Flow

# linux/netfilter/nf_tables.h and linux/netfilter.h; the numbers are the kernel's ABI.
NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE = 0, 2, 3, 6
APPEND = 0x800
OWNED = 0x2
INET, BRIDGE = 1, 7
PREROUTING, OUTPUT = 0, 3
PRIORITY = -350
META_PROTOCOL, META_NFTRACE, META_NFPROTO, META_L4PROTO = 1, 12, 15, 16
TRANSPORT = 2
NFPROTO = {4: 2, 6: 10}
PREFIX = "plumb-trace-"
VXLAN_FRAME = 8 + 8 + 14
"""In a transport's header of VXLAN: UDP's 8 bytes, its own 8, and the inner frame's 14.

Then comes the inner IP header.
"""


@dataclass(frozen=True)
class Match:
    """Bytes of the transport's header that are compared: where, and what they are."""

    at: int
    value: bytes


def name() -> str:
    """A table's name that nobody else has."""
    return PREFIX + secrets.token_hex(4)


def table(family: int, called: str, flow: Flow, asked: Asked) -> list[bytes]:
    """The requests that make a trigger, one transaction's.

    Args:
        family: INET, or BRIDGE.
        called: the table's name.
        flow: whose packets are traced.
        asked: which wrapped ones are as well.
    """
    mine = attribute(1, called)
    requests = [
        message(NFTABLES, NEW_TABLE, family, mine + attribute(2, _be(OWNED)), flags=CREATE | EXCL)
    ]
    for chain, hook in (("prerouting", PREROUTING), ("output", OUTPUT)):
        body = (
            mine
            + attribute(3, chain)
            + nest(4, attribute(1, _be(hook)), attribute(2, struct.pack(">i", PRIORITY)))
        )
        requests.append(
            message(NFTABLES, NEW_CHAIN, family, body + attribute(7, "filter"), flags=CREATE)
        )
        for protocol, matches in _packets(flow, asked):
            version = flow.version if protocol != UDP or flow.protocol == "udp" else 0
            rule = mine + attribute(2, chain) + nest(4, *_rule(family, version, protocol, matches))
            requests.append(message(NFTABLES, NEW_RULE, family, rule, flags=CREATE | APPEND))
    return requests


def gone(family: int, called: str) -> bytes:
    """The request that deletes a trigger with all that is in it."""
    return message(NFTABLES, DELETE_TABLE, family, attribute(1, called))


def _packets(flow: Flow, asked: Asked) -> Iterator[tuple[int, tuple[Match, ...]]]:
    """What the flow's packets are known by: a protocol, and bytes of its header."""
    mine, token = number(flow), struct.pack(">H", flow.token)
    icmp = ICMP if flow.version == 4 else ICMP6
    header, protocol_at = (20, 9) if flow.version == 4 else (40, 6)
    ports = (4,) if flow.protocol == "icmp" else (0, 2)
    if flow.protocol == "icmp":
        for kind in ECHO[flow.version]:
            yield mine, (Match(0, bytes([kind])), Match(4, token))
    else:
        for at in ports:
            yield mine, (Match(at, token),)
    for at in ports:  # an error quotes the packet: a header without options
        yield icmp, (Match(8 + protocol_at, bytes([mine])), Match(8 + header + at, token))
    for port in asked.vxlan:
        for at in ports:
            yield (
                UDP,
                (
                    Match(2, struct.pack(">H", port)),
                    Match(VXLAN_FRAME + protocol_at, bytes([mine])),
                    Match(VXLAN_FRAME + header + at, token),
                ),
            )


def _rule(family: int, version: int, protocol: int, matches: tuple[Match, ...]) -> Iterator[bytes]:
    if version and family == BRIDGE:
        yield from _meta(META_PROTOCOL, struct.pack(">H", IPV4 if version == 4 else IPV6))
    elif version:
        yield from _meta(META_NFPROTO, bytes([NFPROTO[version]]))
    yield from _meta(META_L4PROTO, bytes([protocol]))
    for match in matches:
        yield _expression(
            "payload",
            attribute(1, _be(1)),
            attribute(2, _be(TRANSPORT)),
            attribute(3, _be(match.at)),
            attribute(4, _be(len(match.value))),
        )
        yield _equal(match.value)
    yield _expression("immediate", attribute(1, _be(1)), nest(2, attribute(1, b"\x01")))
    yield _expression("meta", attribute(2, _be(META_NFTRACE)), attribute(3, _be(1)))


def _meta(key: int, value: bytes) -> Iterator[bytes]:
    yield _expression("meta", attribute(1, _be(1)), attribute(2, _be(key)))
    yield _equal(value)


def _equal(value: bytes) -> bytes:
    return _expression(
        "cmp", attribute(1, _be(1)), attribute(2, _be(0)), nest(3, attribute(1, value))
    )


def _expression(kind: str, *parts: bytes) -> bytes:
    return nest(1, attribute(1, kind), nest(2, *parts))


def _be(value: int) -> bytes:
    return struct.pack(">I", value)


def family_name(family: int) -> str:
    """A protocol family as nft writes it."""
    return {
        INET: "inet",
        BRIDGE: "bridge",
        socket.AF_INET: "ip",
        socket.AF_INET6: "ip6",
        3: "arp",
        5: "netdev",
    }.get(family, str(family))
