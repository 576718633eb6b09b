"""Words of a picture: what is written at a box, an interface and a wire.

The names come from the kernel and from other engines. They may have any letter but "/" and spaces,
so each form escapes what is written here by its own rules; control characters are replaced here.
"""

from __future__ import annotations

from plumb.address import IPInterface
from plumb.draw.picture import Box, BoxKind, End, Interface, LinkState, Wire, WireKind
from plumb.foreign.fields import printable
from plumb.model.diagnosis.snapshot import PLUMB

LOOPBACK = ("127.0.0.1/8", "::1/128")
"""Addresses that each namespace's lo has."""
HARDWARE = "link"
"""Word for a link without a kind."""


def box(one: Box) -> str:
    """A box's heading: its name, whose it is, who shares it."""
    words = [printable(one.name)]
    if one.kind is BoxKind.NAMESPACE:
        words.append("(no container)")
    elif one.engine not in ("", PLUMB):
        words.append(f"({printable(one.engine)})")
    if one.containers:
        words.append(f"with {', '.join(map(printable, one.containers))}")
    return " ".join(words)


def addresses(one: Interface) -> list[str]:
    """An interface's addresses without those that each one has."""
    return [str(ip) for ip in one.ips if not _usual(one, ip)]


def _usual(one: Interface, ip: IPInterface) -> bool:
    return ip.is_link_local or (one.name == "lo" and str(ip) in LOOPBACK)


def interface(one: Interface) -> list[str]:
    """An interface's words: name, part in a network or kind, addresses, state if it is not up."""
    kind = " ".join(filter(None, (one.kind or HARDWARE, one.detail)))
    if one.kind == "veth" or one.name == "lo":
        kind = ""
    words = [printable(one.name), printable(one.about) or kind, *addresses(one)]
    if one.about and one.detail not in one.about:
        words.insert(2, one.detail)
    words += one.policies
    return [*filter(None, words), *([str(one.state)] if one.state is not LinkState.UP else [])]


def outside(wire: Wire) -> str:
    """Words at the outer end of a wire that leaves the host."""
    end = wire.one if wire.one.outside else wire.other
    what = printable(end.interface)
    return f"{what} {printable(wire.label)}" if wire.label else what


def end(one: End) -> str:
    """A place: BOX/INTERFACE."""
    return printable(str(one))


def quiet(one: Interface) -> bool:
    """True for a lo that is as every namespace's."""
    return one.name == "lo" and not addresses(one)


def inward(wire: Wire) -> bool:
    """True for a wire by which connections come in."""
    return wire.kind is WireKind.PUBLISHED


def both_ways(wire: Wire) -> bool:
    """True for a wire that is used in both directions."""
    return wire.kind not in (WireKind.PUBLISHED, WireKind.NAT)
