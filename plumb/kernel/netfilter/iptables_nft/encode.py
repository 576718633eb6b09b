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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from plumb.address import IPAddress
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
    tests, _, target = f" {spec}".partition(" -j ")
    head, *matches = tests.split(" -m ")
    names = {match.partition(" ")[0] for match in matches}
    if '"' in spec or "'" in spec or len(names) < len(matches):
        raise NotInVocabulary(spec)
    try:
        first, protocol = _tests(head, version)
        parts = (first, *map(_match, matches), COUNTER, _target(target, version))
    except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise NotInVocabulary(spec) from error
    return Encoded(b"".join(parts), protocol)


@remembered
def _tests(written: str, version: int) -> tuple[bytes, int]:
    """Links, protocol and addresses; the number of the protocol."""
    tests = read(written.split())
    _, protocol = tests.get("-p", (False, ""))
    return b"".join(_expressions(tests, version)), PROTOCOLS.get(protocol, 0)


def read(words: Sequence[str]) -> dict[str, tuple[bool, str]]:
    """Take a rule's words before its matches apart.

    Returns:
        by option -i, -o, -p, -s, -d: whether it is negated, and its value.

    Raises:
        NotInVocabulary: another option, or none where one should be.
    """
    found: dict[str, tuple[bool, str]] = {}
    at = 0
    while at < len(words):
        negated = words[at] == "!"
        option, *value = words[at + negated : at + negated + 2] or ("",)
        if option not in ("-i", "-o", "-p", "-s", "-d") or not value:
            raise NotInVocabulary(" ".join(words))
        found[option] = (negated, value[0])
        at += negated + 2
    return found


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


def _extension(kind: str, name: str, revision: int, info: bytes) -> bytes:
    """A match or a target of ip_tables; its struct is padded as XT_ALIGN does, to eight bytes."""
    return expression(
        kind,
        attribute(NFTA_MATCH_NAME, name),
        attribute_be32(NFTA_MATCH_REV, revision),
        attribute(NFTA_MATCH_INFO, info + bytes(-len(info) % 8)),
    )


def _ports(option: str, port: str) -> bytes:
    """`-m tcp` and `-m udp`."""
    number = struct.pack(">H", int(port))
    return payload(NFT_PAYLOAD_TRANSPORT_HEADER, PORTS[option], 2) + compare(number)


def _addrtype(option: str, kind: str) -> bytes:
    """`-m addrtype`, struct xt_addrtype_info_v1: bits of both ends' types, flags."""
    if kind != "LOCAL":
        raise NotInVocabulary(kind)
    bits = {"--src-type": (XT_ADDRTYPE_LOCAL, 0), "--dst-type": (0, XT_ADDRTYPE_LOCAL)}[option]
    return _extension("match", "addrtype", 1, struct.pack("=HHI", *bits, 0))


def _conntrack(*options: str) -> bytes:
    """`-m conntrack`, struct xt_conntrack_mtinfo3: its state alone counts."""
    if options != ("--ctstate", "RELATED,ESTABLISHED"):
        raise NotInVocabulary(" ".join(options))
    state = struct.pack("=HHHH", XT_CONNTRACK_STATE, 0, XT_CONNTRACK_RELATED_ESTABLISHED, 0)
    return _extension("match", "conntrack", 3, bytes(146) + state + bytes(8))


def _mark(option: str, written: str) -> bytes:
    """`--mark VALUE/MASK`."""
    if option != "--mark":
        raise NotInVocabulary(option)
    value, _, mask = written.partition("/")
    kept = masked(struct.pack("=I", int(mask, 16))) if mask else b""
    return meta(NFT_META_MARK) + kept + compare(struct.pack("=I", int(value, 16)))


def _sctp(option: str, port: str) -> bytes:
    """`-m sctp`, struct xt_sctp_info.

    Two ranges of ports, 256 bits of chunk types, chunk flags, what of it counts, what is negated.
    """
    flag = {"--sport": XT_SCTP_SRC_PORTS, "--dport": XT_SCTP_DEST_PORTS}[option]
    ports = [int(port)] * 2
    ranges = (*ports, 0, 0) if flag == XT_SCTP_DEST_PORTS else (0, 0, *ports)
    info = struct.pack("=4H256xI", *ranges, 0) + b"\xff\0\0" * 4 + struct.pack("=iII", 0, flag, 0)
    return _extension("match", "sctp", 0, info)


XT_ADDRTYPE_LOCAL = 1 << 2
XT_CONNTRACK_STATE, XT_CONNTRACK_RELATED_ESTABLISHED = 1 << 0, 1 << 2 | 1 << 1
XT_SCTP_SRC_PORTS, XT_SCTP_DEST_PORTS = 1 << 0, 1 << 1
MATCHES: dict[str, Callable[..., bytes]] = {
    "tcp": _ports,
    "udp": _ports,
    "sctp": _sctp,
    "addrtype": _addrtype,
    "rpfilter": partial(_extension, "match", "rpfilter", 0, b"\0"),
    "conntrack": _conntrack,
    "mark": _mark,
}


@remembered
def _match(written: str) -> bytes:
    name, *options = written.split()
    return MATCHES[name](*options)


# -- verdicts and targets -----------------------------------------------------


@remembered
def _target(written: str, version: int) -> bytes:
    words = tuple(written.split())
    match words:
        case (("ACCEPT" | "DROP" | "RETURN") as name,):
            return verdict(VERDICTS[name])
        case ("MASQUERADE",):
            return _nat("MASQUERADE", 0, version, None, 0)
        case ("SNAT", "--to-source", to):
            return _nat("SNAT", 0 if version == 4 else 1, version, *_destination(to))
        case ("DNAT", "--to-destination", to):
            address, port = _destination(to)
            return _extension("target", "DNAT", 2, _range(address, port, 6) + bytes(2))
        case (chain,):  # or an extension without options: the kernel has no such chain then
            return verdict(NFT_JUMP, chain)
    raise NotInVocabulary(written)


def _destination(written: str) -> tuple[IPAddress | None, int]:
    """Read "10.0.0.2:80", "[fd00::2]:80", "fd00::2", ":53"."""
    if written.startswith(":") and not written.startswith("::"):
        return None, int(written[1:])
    if written.startswith("["):
        host, _, port = written[1:].partition("]:")
        return _ip(host), int(port)
    if written.count(":") == 1:
        host, _, port = written.partition(":")
        return _ip(host), int(port)
    return _ip(written), 0


_ip = remembered(ip_address)


def _nat(name: str, revision: int, version: int, address: IPAddress | None, port: int) -> bytes:
    """A target with struct nf_nat_range (IPv6), or one such range of IPv4 behind their count."""
    count = struct.pack("=I", 1) if version == 4 else b""
    return _extension("target", name, revision, count + _range(address, port, version))


def _range(address: IPAddress | None, port: int, version: int) -> bytes:
    """Flags, lowest and highest address, lowest and highest port."""
    flags = (NF_NAT_RANGE_MAP_IPS if address else 0) | (NF_NAT_RANGE_PROTO_SPECIFIED if port else 0)
    room = 4 if version == 4 else 16
    packed = (address.packed if address else b"").ljust(room, b"\0")
    return struct.pack("=I", flags) + packed * 2 + struct.pack(">HH", port, port)


NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED = 1 << 0, 1 << 1
