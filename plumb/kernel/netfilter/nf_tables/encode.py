"""nft's words as nf_tables expressions, byte for byte as nft makes them.

It is the part of plumb's vocabulary that containers and their published ports need. `encode`
refuses a rule with any other word, and libnftables, which knows them all
(kernel/netfilter/nft_expressions.py), writes it. nft has a field compared where the word stands; a
port is the transport protocol and the port; a prefix of whole bytes is those bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from plumb.kernel.netfilter.nf_tables.expressions import (
    COUNTER,
    IFNAMSIZ,
    PROTOCOLS,
    NotInVocabulary,
    address,
    compare,
    expression,
    immediate,
    masked,
    meta,
    payload,
    protocol,
    remembered,
    verdict,
)
from plumb.kernel.netlink.codec import attribute_be32
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PROTO_SPECIFIED,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFT_CT_STATE,
    NFT_FIB_RESULT_ADDRTYPE,
    NFT_JUMP,
    NFT_META_IIFNAME,
    NFT_META_OIFNAME,
    NFT_NAT_DNAT,
    NFT_NAT_SNAT,
    NFT_PAYLOAD_NETWORK_HEADER,
    NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REG_1,
    NFT_REG_2,
    NFT_RETURN,
    NFTA_CT_DREG,
    NFTA_CT_KEY,
    NFTA_FIB_DREG,
    NFTA_FIB_F_DADDR,
    NFTA_FIB_F_SADDR,
    NFTA_FIB_FLAGS,
    NFTA_FIB_RESULT,
    NFTA_NAT_FAMILY,
    NFTA_NAT_FLAGS,
    NFTA_NAT_REG_ADDR_MAX,
    NFTA_NAT_REG_ADDR_MIN,
    NFTA_NAT_REG_PROTO_MAX,
    NFTA_NAT_REG_PROTO_MIN,
    NFTA_NAT_TYPE,
    NFTNL_UDATA_RULE_COMMENT,
)
from plumb.kernel.netlink.uapi.linux_rtnetlink import RTN_LOCAL
from plumb.things.nftables import NftFamily, NftRule

NFPROTO = {NftFamily.V4: NFPROTO_IPV4, NftFamily.V6: NFPROTO_IPV6}
LINKS = {"iifname": NFT_META_IIFNAME, "oifname": NFT_META_OIFNAME}
OFFSETS = {("ip", "saddr"): 12, ("ip", "daddr"): 16, ("ip6", "saddr"): 8, ("ip6", "daddr"): 24}
"""Where the IP header has an address (RFC 791, RFC 8200)."""
PROTOCOL_OFFSET = 9
PORTS = {"sport": 0, "dport": 2}
"""Where a header of TCP, UDP or SCTP has a port."""
VERDICTS = {"accept": NF_ACCEPT, "drop": NF_DROP, "return": NFT_RETURN}
FIB = {"saddr": NFTA_FIB_F_SADDR, "daddr": NFTA_FIB_F_DADDR}
CT_ESTABLISHED, CT_RELATED = 1 << 1, 1 << 2
"""Bits of `ct state` (NF_CT_STATE_BIT of enum ip_conntrack_info)."""
COMMENT = re.compile(r'(?:(.*) )?comment "([A-Za-z0-9 ]{0,128})"')
Words = Iterator[str]


class Encoded(NamedTuple):
    """A rule as nf_tables has it.

    The value of NFTA_RULE_EXPRESSIONS, the counter at zero, and of NFTA_RULE_USERDATA: nft keeps a
    comment there.
    """

    expressions: bytes
    userdata: bytes


def encode(rule: NftRule) -> Encoded:
    """Translate a rule as nft does.

    Raises:
        NotInVocabulary: libnftables has to translate this rule.
    """
    return _encoded(rule.spec, rule.family)


@remembered
def _encoded(spec: str, family: str) -> Encoded:
    commented = COMMENT.fullmatch(spec)
    said, text = (commented[1] or "", commented[2]) if commented else (spec, None)
    words = iter(said.split())
    parts: list[bytes] = []
    met: set[str] = set()
    try:
        for word in words:
            if VERDICT in met or (kind := KINDS.get(word, word)) in met:
                raise NotInVocabulary(spec)
            if kind in ONCE:
                met.add(kind)
            parts.append(WORDS[word](word, words, family))
    except (KeyError, TypeError, ValueError, OverflowError, StopIteration, struct.error) as error:
        raise NotInVocabulary(spec) from error
    return Encoded(b"".join(parts), b"" if text is None else comment(text))


def comment(text: str) -> bytes:
    """A comment as nft keeps it beside a rule: type, length, text with a zero byte."""
    raw = text.encode() + b"\0"
    return bytes((NFTNL_UDATA_RULE_COMMENT, len(raw))) + raw


# -- what is compared ---------------------------------------------------------


def _negated(words: Words) -> tuple[bool, str]:
    word = next(words)
    return (True, next(words)) if word == "!=" else (False, word)


def _link(word: str, words: Words, _: str) -> bytes:
    negated, quoted = _negated(words)
    name = quoted[1:-1].encode()
    if quoted != f'"{quoted[1:-1]}"' or not 0 < len(name) < IFNAMSIZ or name.endswith(b"*"):
        raise NotInVocabulary(quoted)
    return meta(LINKS[word]) + compare(name.ljust(IFNAMSIZ, b"\0"), negated)


def _ip(word: str, words: Words, family: str) -> bytes:
    field = next(words)
    negated, value = _negated(words)
    if word != family:
        raise NotInVocabulary(f"{word} in a table of {family}")
    if field == "protocol" and family == NftFamily.V4:
        loaded = payload(NFT_PAYLOAD_NETWORK_HEADER, PROTOCOL_OFFSET, 1)
        return loaded + compare(bytes([PROTOCOLS[value]]), negated)
    return _address(OFFSETS[word, field], negated, value)


@remembered
def _address(offset: int, negated: bool, written: str) -> bytes:
    return address(offset, negated, ip_network(written))


def _port(word: str, words: Words, _: str) -> bytes:
    offset, number = PORTS[next(words)], struct.pack(">H", int(next(words)))
    loaded = payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2)
    return protocol(False, word) + loaded + compare(number)


def _fib(_word: str, words: Words, _: str) -> bytes:
    """`fib daddr type local`: the type of the route to an address."""
    flags = FIB[next(words)]
    if (next(words), next(words)) != ("type", "local"):
        raise NotInVocabulary("fib")
    found = expression(
        "fib",
        attribute_be32(NFTA_FIB_DREG, NFT_REG_1),
        attribute_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
        attribute_be32(NFTA_FIB_FLAGS, flags),
    )
    return found + compare(struct.pack("=I", RTN_LOCAL))


def _ct(_word: str, words: Words, _: str) -> bytes:
    """`ct state established,related`: one of these bits is set."""
    if (next(words), next(words)) != ("state", "established,related"):
        raise NotInVocabulary("ct")
    found = expression(
        "ct", attribute_be32(NFTA_CT_DREG, NFT_REG_1), attribute_be32(NFTA_CT_KEY, NFT_CT_STATE)
    )
    bits = masked(struct.pack("=I", CT_ESTABLISHED | CT_RELATED))
    return found + bits + compare(bytes(4), True)


# -- what is done -------------------------------------------------------------


def _counter(_word: str, _words: Words, _: str) -> bytes:
    return COUNTER


def _verdict(word: str, _words: Words, _: str) -> bytes:
    return verdict(VERDICTS[word])


def _jump(_word: str, words: Words, _: str) -> bytes:
    return verdict(NFT_JUMP, next(words))


def _masquerade(_word: str, _words: Words, _: str) -> bytes:
    return MASQUERADE


MASQUERADE = expression("masq")


def _nat(word: str, words: Words, family: str) -> bytes:
    """`dnat to 10.0.0.2:80`, `snat to 192.0.2.1`, `snat to :53`.

    The address is put into the first register, the port into the next.
    """
    if next(words) != "to":
        raise NotInVocabulary(word)
    host, number = _destination(next(words), family)
    parts = [
        attribute_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT if word == "dnat" else NFT_NAT_SNAT),
        attribute_be32(NFTA_NAT_FAMILY, NFPROTO[NftFamily(family)]),
    ]
    loaded, flags = b"", 0
    if host:
        flags |= NF_NAT_RANGE_MAP_IPS
        loaded += immediate(NFT_REG_1, host)
        parts += [attribute_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1)]
        parts += [attribute_be32(NFTA_NAT_REG_ADDR_MAX, NFT_REG_1)]
    if number:
        flags |= NF_NAT_RANGE_PROTO_SPECIFIED
        register = NFT_REG_2 if host else NFT_REG_1
        loaded += immediate(register, number)
        parts += [attribute_be32(NFTA_NAT_REG_PROTO_MIN, register)]
        parts += [attribute_be32(NFTA_NAT_REG_PROTO_MAX, register)]
    return loaded + expression("nat", *parts, attribute_be32(NFTA_NAT_FLAGS, flags))


def _destination(written: str, family: str) -> tuple[bytes, bytes]:
    """Address and port as bytes, each empty where there is none."""
    host, port = written, ""
    if written.startswith("["):
        host, _, port = written[1:].partition("]:")
    elif family == NftFamily.V4 or (written.startswith(":") and not written.startswith("::")):
        host, _, port = written.partition(":")
    found = ip_address(host).packed if host else b""
    if found and len(found) != (4 if family == NftFamily.V4 else 16):
        raise NotInVocabulary(written)
    return found, struct.pack(">H", int(port)) if port else b""


WORDS: dict[str, Callable[[str, Words, str], bytes]] = {
    "iifname": _link,
    "oifname": _link,
    "ip": _ip,
    "ip6": _ip,
    "tcp": _port,
    "udp": _port,
    "sctp": _port,
    "fib": _fib,
    "ct": _ct,
    "counter": _counter,
    "accept": _verdict,
    "drop": _verdict,
    "return": _verdict,
    "jump": _jump,
    "masquerade": _masquerade,
    "dnat": _nat,
    "snat": _nat,
}
TRANSPORT, VERDICT = "transport", "verdict"
KINDS = {
    **dict.fromkeys(("tcp", "udp", "sctp"), TRANSPORT),
    **dict.fromkeys(("accept", "drop", "return", "jump", "masquerade", "dnat", "snat"), VERDICT),
}
ONCE = (TRANSPORT, VERDICT, "counter")
"""What a rule has once at most: nft names the transport protocol before the first port alone."""
