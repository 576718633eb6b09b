"""Who on this segment claims an address, and with which MACs.

    IPv4   ARP (RFC 826): "who has 192.0.2.5?" to everybody; whoever has it says with which MAC
    IPv6   neighbour discovery (RFC 4861): a solicitation to the group of those whose address ends like that one; an advertisement back

One answer is a healthy network; two are two hosts with one address, of which the switch delivers to
now one, now the other. The questions are asked as somebody without an address asks them who is
about to take it (RFC 5227, RFC 4862): nobody learns anything by them.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from plumb.address import IPAddress
from plumb.kernel.netns.namespaces import entered

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
SOL_PACKET, ADD_MEMBERSHIP, ALL_GROUPS = 263, 1, 2
"""packet(7): hear all multicast frames, as long as the socket is open.

Advertisements to somebody without an address go to a group.
"""
IS_AT, OUTGOING = 2, 4
SOLICITED = int(IPv6Address("ff02::1:ff00:0"))


def who_has(ns: str, dev: str, ip: IPAddress, seconds: float = 0.3) -> list[str]:
    """The MAC addresses that claim an address on a link's segment; see `claims`."""
    return claims(ns, dev, [ip], seconds)[ip]


def claims(
    ns: str, dev: str, ips: Sequence[IPAddress], seconds: float = 0.3
) -> dict[IPAddress, list[str]]:
    """The MAC addresses that claim each of these addresses on a link's segment, but for the link's own.

    Args:
        ns: the namespace's file, "" for the host's own.
        dev: the link to ask on.
        seconds: how long to wait for answers, which is always waited: a second one may come later.
    """
    return claims_on([Segment(ns, dev, tuple(ips))], seconds)[ns, dev]


class Segment(NamedTuple):
    """A link of a namespace, and the addresses that are asked for there."""

    ns: str
    dev: str
    ips: tuple[IPAddress, ...]


def claims_on(
    segments: Sequence[Segment], seconds: float = 0.3
) -> dict[tuple[str, str], dict[IPAddress, list[str]]]:
    """The same on many segments at once; the answers by namespace file and link.

    By a link that is down or gone, nobody answers.
    """
    found: dict[tuple[str, str], dict[IPAddress, list[str]]] = {
        (ns, dev): {ip: [] for ip in ips} for ns, dev, ips in segments
    }
    with ExitStack() as stack:
        wires = [
            (stack.enter_context(wire), segment) for segment in segments for wire in _wires(segment)
        ]
        for wire, segment in wires:
            with suppress(OSError):  # the link is down: nobody is there
                _ask(wire, segment.ips)
        waiting = select.poll()
        known = {wire.fileno(): (wire, found[segment.ns, segment.dev]) for wire, segment in wires}
        for wire, _ in wires:
            waiting.register(wire, select.POLLIN)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in waiting.poll(left * 1000):
                wire, here = known[descriptor]
                for ip, mac in _claimed(wire):
                    if ip in here and mac not in here[ip]:
                        here[ip].append(mac)
    return found


def _wires(segment: Segment) -> list[socket.socket]:
    with entered(segment.ns):
        if segment.dev not in (name for _, name in socket.if_nameindex()):
            return []
        return [
            _opened(segment.dev, kind)
            for kind in {ETH_P_ARP if ip.version == 4 else ETH_P_IPV6 for ip in segment.ips}
        ]


def _ask(wire: socket.socket, ips: Sequence[IPAddress]) -> None:
    _, kind, _, _, mac = wire.getsockname()
    for ip in ips:
        if (ip.version == 4) is (kind == ETH_P_ARP):
            wire.send(bytes(_question(mac.hex(":"), ip)))


def _opened(dev: str, kind: int) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    wire.bind((dev, kind))
    wire.setsockopt(
        SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8x", socket.if_nametoindex(dev), ALL_GROUPS, 0)
    )
    wire.setblocking(False)
    return wire


def _question(mac: str, ip: IPAddress) -> Any:
    if isinstance(ip, IPv4Address):
        return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op="who-has", hwsrc=mac, psrc="0.0.0.0", pdst=str(ip)
        )
    group = IPv6Address(SOLICITED | int(ip) & 0xFFFFFF)
    to = "33:33:" + group.packed[-4:].hex(":")
    return (
        Ether(src=mac, dst=to) / IPv6(src="::", dst=str(group), hlim=255) / ICMPv6ND_NS(tgt=str(ip))
    )


def _claimed(wire: socket.socket) -> Iterator[tuple[IPAddress, str]]:
    """The claims that have come: an address, and a MAC."""
    while True:
        try:
            data, where = wire.recvfrom(2048)
        except OSError:
            return
        frame: Any = Ether(data)
        if where[2] == OUTGOING:
            continue
        if ARP in frame and frame[ARP].op == IS_AT:
            yield IPv4Address(frame[ARP].psrc), frame[ARP].hwsrc
        elif ICMPv6ND_NA in frame:
            advertised = frame[ICMPv6ND_NA]
            option = advertised.getlayer(ICMPv6NDOptDstLLAddr)
            yield (
                IPv6Address(advertised.tgt),
                option.lladdr if option is not None else frame[Ether].src,
            )
