"""The words of plumb's own rules, and the extensions of ip_tables that they name.

An extension is a match or a target, with a struct of its own. The legacy tables have it in their
entries; nf_tables runs it by nft_compat. The vocabulary is closed: a rule with a word that is not
here is for iptables itself to translate.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary, remembered


class Parts(NamedTuple):
    """A rule's words: before its matches, of each match, and behind -j."""

    head: str
    matches: Sequence[str]
    target: str


def take_apart(spec: str) -> Parts:
    """Take a rule's words apart.

    Raises:
        NotInVocabulary: words in quotes, or a match that stands twice.
    """
    tests, _, target = f" {spec}".partition(" -j ")
    head, *matches = tests.split(" -m ")
    names = {match.partition(" ")[0] for match in matches}
    if '"' in spec or "'" in spec or len(names) < len(matches):
        raise NotInVocabulary(spec)
    return Parts(head, matches, target)


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


class Extension(NamedTuple):
    """A match or a target.

    Attributes:
        name, revision: as the kernel knows them.
        info: its struct.
    """

    name: str
    revision: int
    info: bytes

    @property
    def padded(self) -> bytes:
        """The struct as XT_ALIGN pads it, to eight bytes."""
        return self.info + bytes(-len(self.info) % 8)


# -- matches ------------------------------------------------------------------


def _addrtype(option: str, kind: str) -> Extension:
    """`-m addrtype`, struct xt_addrtype_info_v1: bits of both ends' types, flags."""
    if kind != "LOCAL":
        raise NotInVocabulary(kind)
    bits = {"--src-type": (XT_ADDRTYPE_LOCAL, 0), "--dst-type": (0, XT_ADDRTYPE_LOCAL)}[option]
    return Extension("addrtype", 1, struct.pack("=HHI", *bits, 0))


def _conntrack(*options: str) -> Extension:
    """`-m conntrack`, struct xt_conntrack_mtinfo3: its state alone counts."""
    if options != ("--ctstate", "RELATED,ESTABLISHED"):
        raise NotInVocabulary(" ".join(options))
    state = struct.pack("=HHHH", XT_CONNTRACK_STATE, 0, XT_CONNTRACK_RELATED_ESTABLISHED, 0)
    return Extension("conntrack", 3, bytes(146) + state + bytes(8))


def _rpfilter() -> Extension:
    """`-m rpfilter`, struct xt_rpfilter_info: flags, of which there are none."""
    return Extension("rpfilter", 0, b"\0")


def _sctp(option: str, port: str) -> Extension:
    """`-m sctp`, struct xt_sctp_info.

    Two ranges of ports, 256 bits of chunk types, chunk flags, what of it counts, what is negated.
    """
    flag = {"--sport": XT_SCTP_SRC_PORTS, "--dport": XT_SCTP_DEST_PORTS}[option]
    ports = [int(port)] * 2
    ranges = (*ports, 0, 0) if flag == XT_SCTP_DEST_PORTS else (0, 0, *ports)
    info = struct.pack("=4H256xI", *ranges, 0) + b"\xff\0\0" * 4 + struct.pack("=iII", 0, flag, 0)
    return Extension("sctp", 0, info)


XT_ADDRTYPE_LOCAL = 1 << 2
XT_CONNTRACK_STATE, XT_CONNTRACK_RELATED_ESTABLISHED = 1 << 0, 1 << 2 | 1 << 1
XT_SCTP_SRC_PORTS, XT_SCTP_DEST_PORTS = 1 << 0, 1 << 1
MATCHES: dict[str, Callable[..., Extension]] = {
    "addrtype": _addrtype,
    "conntrack": _conntrack,
    "rpfilter": _rpfilter,
    "sctp": _sctp,
}


# -- targets ------------------------------------------------------------------


def target(words: Sequence[str], version: int) -> Extension | None:
    """Translate the words behind -j; None for a verdict, a chain, and a target that it lacks.

    Raises:
        ValueError: an address or a port is none.
    """
    match tuple(words):
        case ("MASQUERADE",):
            return _nat("MASQUERADE", 0, version, None, 0)
        case ("SNAT", "--to-source", to):
            return _nat("SNAT", 0 if version == 4 else 1, version, *_destination(to))
        case ("DNAT", "--to-destination", to):
            address, port = _destination(to)
            return Extension("DNAT", 2, _range(address, port, 6) + bytes(2))
    return None


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


def _nat(name: str, revision: int, version: int, address: IPAddress | None, port: int) -> Extension:
    """A target with struct nf_nat_range (IPv6), or one such range of IPv4 behind their count."""
    count = struct.pack("=I", 1) if version == 4 else b""
    return Extension(name, revision, count + _range(address, port, version))


def _range(address: IPAddress | None, port: int, version: int) -> bytes:
    """Flags, lowest and highest address, lowest and highest port."""
    flags = (NF_NAT_RANGE_MAP_IPS if address else 0) | (NF_NAT_RANGE_PROTO_SPECIFIED if port else 0)
    room = 4 if version == 4 else 16
    packed = (address.packed if address else b"").ljust(room, b"\0")
    return struct.pack("=I", flags) + packed * 2 + struct.pack(">HH", port, port)


NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED = 1 << 0, 1 << 1
