"""Iptables' words as entries of the legacy tables, byte for byte as iptables-legacy makes them.

An entry is struct ipt_entry or ip6t_entry: what a packet's header must be, the matches as they
stand, a target. The C library has no entry point for that: python-iptables calls each extension's
parser, lets it print what it has read to make sure, and reads that; it takes the file descriptor of
the process's output for that time.

The vocabulary is closed: `encode` refuses a rule with any other word, and python-iptables
translates it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_network
from typing import NamedTuple

from plumb.kernel.netfilter.nf_tables.expressions import (
    IFNAMSIZ,
    PROTOCOLS,
    NotInVocabulary,
    remembered,
)
from plumb.kernel.netfilter.vocabulary import MATCHES, Extension, read, take_apart, target
from plumb.things.iptables import Family, Rule

ENTRY = {4: struct.Struct("=16s64sHBBIHH4x16x"), 6: struct.Struct("=64s64sHBBB3xIHH8x16x")}
"""The header's test, what libiptc caches, offsets of target and next entry; the kernel's mark and
the counters at zero."""
HEADER = struct.Struct("=H29sB")
"""Size, name and revision of a match or target (struct xt_entry_match, xt_entry_target)."""
INVERTED = {"-i": 0x01, "-o": 0x02, "-s": 0x08, "-d": 0x10, "-p": 0x40}  # IPT_INV_…
IP6T_F_PROTO = 0x01
"""Flag of an entry of IPv6 that names a protocol."""
STANDARD = bytes(8)
"""The info of a verdict or a jump, which libiptc fills in by the target's name."""
VERDICTS = frozenset({"ACCEPT", "DROP", "RETURN"})
LONGEST_CHAIN = 28


class Encoded(NamedTuple):
    """A rule as the legacy tables have it.

    Attributes:
        entry: the bytes.
        jump: the chain that it jumps to, empty for none. An extension without options has the same
        words: it is for the table to say whether there is such a chain.
        extensions: its matches and its target, with "match" or "target" before each.
    """

    entry: bytes
    jump: str
    extensions: tuple[tuple[str, Extension], ...]


def encode(rule: Rule) -> Encoded:
    """Translate a rule as iptables-legacy does.

    Raises:
        NotInVocabulary: iptables has to translate this rule.
    """
    return _encoded(rule.spec, 4 if rule.family is Family.V4 else 6)


@remembered
def _encoded(spec: str, version: int) -> Encoded:
    parts = take_apart(spec)
    try:
        extensions = [("match", _match(written)) for written in parts.matches]
        matches = b"".join(_extension(found) for _, found in extensions)
        words = parts.target.split()
        last, jump = target(words, version), ""
        if last is not None:
            extensions.append(("target", last))
        elif len(words) == 1 and len(words[0]) <= LONGEST_CHAIN:
            jump = "" if words[0] in VERDICTS else words[0]
            last = Extension(words[0], 0, STANDARD)
        else:
            raise NotInVocabulary(spec)
        ending = _extension(last)
        offset = ENTRY[version].size + len(matches)
        head = _head(parts.head, version, offset, offset + len(ending))
    except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise NotInVocabulary(spec) from error
    return Encoded(head + matches + ending, jump, tuple(extensions))


def _extension(found: Extension) -> bytes:
    info = found.padded
    return HEADER.pack(HEADER.size + len(info), found.name.encode(), found.revision) + info


# -- the header -----------------------------------------------------------------


def _head(written: str, version: int, offset: int, size: int) -> bytes:
    """An entry up to its matches (struct ipt_ip or ip6t_ip6 and what follows).

    Args:
        offset, size: of the target, and of the whole entry.
    """
    tests = read(written.split())
    inverted = sum(INVERTED[option] for option, (negated, _) in tests.items() if negated)
    protocol = PROTOCOLS[tests["-p"][1]] if "-p" in tests else 0
    addresses = _addresses(tests, version)
    incoming, outgoing = (
        _link(tests[option][1]) if option in tests else _ANY for option in ["-i", "-o"]
    )
    links = incoming[0] + outgoing[0] + incoming[1] + outgoing[1]
    if version == 4:
        return ENTRY[4].pack(addresses, links, protocol, 0, inverted, 0, offset, size)
    flags = IP6T_F_PROTO if protocol else 0
    return ENTRY[6].pack(addresses, links, protocol, 0, flags, inverted, 0, offset, size)


_ANY = (bytes(IFNAMSIZ), bytes(IFNAMSIZ))


def _addresses(tests: dict[str, tuple[bool, str]], version: int) -> bytes:
    """Source, destination, and their masks."""
    none = bytes(4 if version == 4 else 16)
    nets = [ip_network(tests[option][1]) if option in tests else None for option in ("-s", "-d")]
    if any(net is not None and net.version != version for net in nets):
        raise NotInVocabulary(str(tests))
    return b"".join(
        [net.network_address.packed if net else none for net in nets]
        + [net.netmask.packed if net else none for net in nets]
    )


@remembered
def _link(name: str) -> tuple[bytes, bytes]:
    """A link's name, and the mask of what of it counts: all, and the zero behind it."""
    if name.endswith("+") or len(name) >= IFNAMSIZ:
        raise NotInVocabulary(name)
    return name.encode().ljust(IFNAMSIZ, b"\0"), (b"\xff" * (len(name) + 1)).ljust(IFNAMSIZ, b"\0")


# -- matches ----------------------------------------------------------------------


def _ports(option: str, port: str) -> tuple[int, int, int, int]:
    """Lowest and highest port of the source, and of the destination."""
    number = int(port)
    return {"--sport": (number, number, 0, 0xFFFF), "--dport": (0, 0xFFFF, number, number)}[option]


def _tcp(option: str, port: str) -> Extension:
    """`-m tcp`, struct xt_tcp: ports; option, flags and what is negated, none."""
    return Extension("tcp", 0, struct.pack("=4H4x", *_ports(option, port)))


def _udp(option: str, port: str) -> Extension:
    """`-m udp`, struct xt_udp: ports, and what is negated, none."""
    return Extension("udp", 0, struct.pack("=4H2x", *_ports(option, port)))


def _mark(option: str, written: str) -> Extension:
    """`--mark VALUE/MASK`, struct xt_mark_mtinfo1."""
    if option != "--mark":
        raise NotInVocabulary(option)
    value, _, mask = written.partition("/")
    return Extension(
        "mark", 1, struct.pack("=IIB3x", int(value, 16), int(mask or "ffffffff", 16), 0)
    )


OWN: dict[str, Callable[..., Extension]] = {**MATCHES, "tcp": _tcp, "udp": _udp, "mark": _mark}


@remembered
def _match(written: str) -> Extension:
    name, *options = written.split()
    return OWN[name](*options)
