"""Iptables' words as nf_tables expressions, byte for byte as iptables-nft makes them.

iptables-nft (1.8.9) has native expressions for addresses, links, protocols, ports and marks, in
this order whatever the order of the words: input link, output link, protocol, source, destination,
the matches as they stand, a counter, the verdict. Its other matches and targets are the extensions
of ip_tables, a struct each, which the kernel runs by nft_compat.

The vocabulary is closed: `encode` refuses a rule with any other word, and iptables-restore, which
knows them all, writes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import NamedTuple

from plumb.kernel.netfilter.nf_tables.expressions import (
    COUNTER,
    IFNAMSIZ,
    PROTOCOLS,
    NotInVocabulary,
    address,
    compare,
    expression,
    masked,
    meta,
    payload,
    protocol,
    remembered,
    verdict,
)
from plumb.kernel.netfilter.vocabulary import MATCHES, Extension, read, take_apart, target
from plumb.kernel.netlink.codec import attribute, attribute_be32
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NFT_JUMP,
    NFT_META_IIFNAME,
    NFT_META_MARK,
    NFT_META_OIFNAME,
    NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_RETURN,
    NFTA_MATCH_INFO,
    NFTA_MATCH_NAME,
    NFTA_MATCH_REV,
)
from plumb.things.iptables import Family, Rule

OFFSETS = {("-s", 4): 12, ("-d", 4): 16, ("-s", 6): 8, ("-d", 6): 24}
"""Where the IP header has an address (RFC 791, RFC 8200)."""
VERDICTS = {"ACCEPT": NF_ACCEPT, "DROP": NF_DROP, "RETURN": NFT_RETURN}
PORTS = {"--sport": 0, "--dport": 2}
"""Where a header of TCP, UDP or SCTP has a port."""


class Encoded(NamedTuple):
    """A rule as nf_tables has it.

    Attributes:
        expressions: the value of NFTA_RULE_EXPRESSIONS, the counter at zero.
        protocol: the number of the protocol that the rule names (-p), 0 for none. The kernel wants
        it beside extensions that are for one protocol (NFTA_RULE_COMPAT).
    """

    expressions: bytes
    protocol: int


def encode(rule: Rule) -> Encoded:
    """Translate a rule as iptables-nft does.

    Raises:
        NotInVocabulary: iptables has to translate this rule.
    """
    return _encoded(rule.spec, 4 if rule.family is Family.V4 else 6)


@remembered
def _encoded(spec: str, version: int) -> Encoded:
    """Translate part by part: most rules share all parts with others but one."""
    head, matches, verdict_or_target = take_apart(spec)
    try:
        first, protocol = _tests(head, version)
        parts = (first, *map(_match, matches), COUNTER, _target(verdict_or_target, version))
    except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise NotInVocabulary(spec) from error
    return Encoded(b"".join(parts), protocol)


@remembered
def _tests(written: str, version: int) -> tuple[bytes, int]:
    """Links, protocol and addresses; the number of the protocol."""
    tests = read(written.split())
    _, protocol = tests.get("-p", (False, ""))
    return b"".join(_expressions(tests, version)), PROTOCOLS.get(protocol, 0)


def _expressions(tests: dict[str, tuple[bool, str]], version: int) -> Iterator[bytes]:
    for option, key in (("-i", NFT_META_IIFNAME), ("-o", NFT_META_OIFNAME)):
        if option in tests:
            yield _link(key, *tests[option])
    if "-p" in tests:
        yield protocol(*tests["-p"])
    for option in ("-s", "-d"):
        if option in tests:
            yield _address(OFFSETS[option, version], *tests[option])


# -- native expressions -------------------------------------------------------


@remembered
def _link(key: int, negated: bool, name: str) -> bytes:
    if name.endswith("+") or len(name) >= IFNAMSIZ:
        raise NotInVocabulary(name)
    return meta(key) + compare(name.encode() + b"\0", negated)


@remembered
def _address(offset: int, negated: bool, written: str) -> bytes:
    return address(offset, negated, ip_network(written))


# -- matches ------------------------------------------------------------------


def _extension(kind: str, found: Extension) -> bytes:
    """A match or a target of ip_tables."""
    return expression(
        kind,
        attribute(NFTA_MATCH_NAME, found.name),
        attribute_be32(NFTA_MATCH_REV, found.revision),
        attribute(NFTA_MATCH_INFO, found.padded),
    )


def _ports(option: str, port: str) -> bytes:
    """`-m tcp` and `-m udp`."""
    number = struct.pack(">H", int(port))
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, PORTS[option], 2) + compare(number)


def _mark(option: str, written: str) -> bytes:
    """`--mark VALUE/MASK`."""
    if option != "--mark":
        raise NotInVocabulary(option)
    value, _, mask = written.partition("/")
    kept = masked(struct.pack("=I", int(mask, 16))) if mask else b""
    return meta(NFT_META_MARK) + kept + compare(struct.pack("=I", int(value, 16)))


NATIVE: dict[str, Callable[..., bytes]] = {"tcp": _ports, "udp": _ports, "mark": _mark}
"""Matches that iptables-nft has expressions for; the others are extensions."""


@remembered
def _match(written: str) -> bytes:
    name, *options = written.split()
    native = NATIVE.get(name)
    return native(*options) if native else _extension("match", MATCHES[name](*options))


# -- verdicts and targets -----------------------------------------------------


@remembered
def _target(written: str, version: int) -> bytes:
    words = tuple(written.split())
    extension = target(words, version)
    if extension:
        return _extension("target", extension)
    match words:
        case (("ACCEPT" | "DROP" | "RETURN") as name,):
            return verdict(VERDICTS[name])
        case (chain,):  # or an extension without options: the kernel has no such chain then
            return verdict(NFT_JUMP, chain)
    raise NotInVocabulary(written)
