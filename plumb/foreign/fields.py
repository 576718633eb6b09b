"""Fields of documents that other programs wrote: of the type asked for, or empty.

A document may have been written by another version, or by somebody who wishes plumb ill: no field
is taken for granted, no text is longer than a name may be, and none has control characters, which a
terminal would obey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any

from plumb.address import IPAddress, IPInterface, IPNetwork, ip_on

LONGEST, LONGEST_SENTENCE = 255, 2000
"""Letters of a text at most, and of one that is a sentence with names and ids in it."""


def printable(text: str, longest: int = LONGEST) -> str:
    """Replace what a terminal would not print, and cut the text off."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:longest])


def field(document: Any, *path: str) -> Any:
    """Value at a path of keys; None where a key is missing."""
    for key in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def text(document: Any, *path: str) -> str:
    """Text at a path of keys; empty where there is none."""
    found = field(document, *path)
    return printable(found) if isinstance(found, str) else ""


def sentence(document: Any, *path: str) -> str:
    """Sentence at a path of keys, as an error, whose reason is its end; empty without one."""
    found = field(document, *path)
    return printable(found, LONGEST_SENTENCE) if isinstance(found, str) else ""


def number(document: Any, *path: str) -> int:
    """Whole number at a path of keys; 0 where there is none."""
    found = field(document, *path)
    return found if isinstance(found, int) else 0


def truth(document: Any, *path: str) -> bool:
    """True if that is what stands at a path of keys."""
    return field(document, *path) is True


def mapping(document: Any, *path: str) -> Mapping[str, Any]:
    """Object at a path of keys, its keys printable; empty where there is none."""
    found = field(document, *path)
    if not isinstance(found, Mapping):
        return {}
    return {printable(key): value for key, value in found.items() if isinstance(key, str)}


def texts(document: Any, *path: str) -> dict[str, str]:
    """Object of texts at a path of keys; empty where there is none."""
    found = mapping(document, *path)
    return {key: printable(value) for key, value in found.items() if isinstance(value, str)}


def sequence(document: Any, *path: str) -> Sequence[Any]:
    """List at a path of keys; empty where there is none."""
    found = field(document, *path)
    return found if isinstance(found, list) else ()


def words(document: Any, *path: str) -> tuple[str, ...]:
    """Texts of the list at a path of keys; empty where there is none."""
    return tuple(printable(each) for each in sequence(document, *path) if isinstance(each, str))


def address(value: str) -> IPAddress | None:
    """Address of a text; None for anything else."""
    try:
        return ip_address(value.partition("/")[0])
    except ValueError:
        return None


def subnet(value: str) -> IPNetwork | None:
    """Subnet of a text; None for anything else."""
    try:
        return ip_network(value, strict=False)
    except ValueError:
        return None


def on_subnet(value: str, prefixlen: int) -> IPInterface | None:
    """Address with a prefix length; None for anything else."""
    ip = address(value)
    if ip is None or not 0 < prefixlen <= ip.max_prefixlen:
        return None
    return ip_on(ip, prefixlen)


def by_version(*found: IPInterface | None) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    """First IPv4 and first IPv6 address of some."""
    four = next((each for each in found if isinstance(each, IPv4Interface)), None)
    six = next((each for each in found if isinstance(each, IPv6Interface)), None)
    return four, six
