"""Claims of an address on a segment: the MACs of the hosts that answer for it.

    IPv4   ARP (RFC 826): a broadcast request "who has 192.0.2.5?"; a reply with the owner's MAC
    IPv6   neighbour discovery (RFC 4861): a solicitation to the solicited-node multicast group
           (the address's last 24 bits); an advertisement as the reply

One reply is a healthy network. Two are two hosts with one address, and packets reach now one, now
the other. plumb sends the requests of duplicate address detection, from the unspecified address
(ARP probes of RFC 5227, solicitations of RFC 4862), so no host updates its neighbour table by them.
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
"""packet(7): receive all multicast frames, as long as the socket is open.

Advertisements that answer an unspecified source go to the all-nodes group.
"""
IS_AT, OUTGOING = 2, 4
SOLICITED = int(IPv6Address("ff02::1:ff00:0"))


def who_has(ns: str, dev: str, ip: IPAddress, seconds: float = 0.3) -> list[str]:
    """MAC addresses that claim an address on a link's segment; see `claims`."""
    return claims(ns, dev, [ip], seconds)[ip]


def claims(
    ns: str, dev: str, ips: Sequence[IPAddress], seconds: float = 0.3
) -> dict[IPAddress, list[str]]:
    """MAC addresses that claim each of these addresses on a link's segment, without the link's own.

    Args:
        ns: the namespace's file, "" for the host's own.
        dev: the link that sends the requests.
        seconds: the time to wait for replies, always in full: a second one may come later.
    """
    return claims_on([Segment(ns, dev, tuple(ips))], seconds)[ns, dev]


class Segment(NamedTuple):
    """A link of a namespace, and the addresses to request there."""

    ns: str
    dev: str
    ips: tuple[IPAddress, ...]


def claims_on(
    segments: Sequence[Segment], seconds: float = 0.3
) -> dict[tuple[str, str], dict[IPAddress, list[str]]]:
    """Find the claims on many segments at once, by namespace file and link.

    A link that is down or gone brings no replies.
    """
    found: dict[tuple[str, str], dict[IPAddress, list[str]]] = {
        (ns, dev): {ip: [] for ip in ips} for ns, dev, ips in segments
    }
    with ExitStack() as stack:
        sockets = [
            (stack.enter_context(sock), segment)
            for segment in segments
            for sock in _sockets(segment)
        ]
        for sock, segment in sockets:
            with suppress(OSError):  # the link is down
                _send_requests(sock, segment.ips)
        waiting = select.poll()
        known = {sock.fileno(): (sock, found[segment.ns, segment.dev]) for sock, segment in sockets}
        for sock, _ in sockets:
            waiting.register(sock, select.POLLIN)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in waiting.poll(left * 1000):
                sock, here = known[descriptor]
                for ip, mac in _replies(sock):
                    if ip in here and mac not in here[ip]:
                        here[ip].append(mac)
    return found


def _sockets(segment: Segment) -> list[socket.socket]:
    with entered(segment.ns):
        if segment.dev not in (name for _, name in socket.if_nameindex()):
            return []
        return [
            _open_socket(segment.dev, kind)
            for kind in {ETH_P_ARP if ip.version == 4 else ETH_P_IPV6 for ip in segment.ips}
        ]


def _send_requests(sock: socket.socket, ips: Sequence[IPAddress]) -> None:
    _, kind, _, _, mac = sock.getsockname()
    for ip in ips:
        if (ip.version == 4) is (kind == ETH_P_ARP):
            sock.send(bytes(_request(mac.hex(":"), ip)))


def _open_socket(dev: str, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    sock.bind((dev, kind))
    sock.setsockopt(
        SOL_PACKET, ADD_MEMBERSHIP, struct.pack("=iHH8x", socket.if_nametoindex(dev), ALL_GROUPS, 0)
    )
    sock.setblocking(False)
    return sock


def _request(mac: str, ip: IPAddress) -> Any:
    if isinstance(ip, IPv4Address):
        return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op="who-has", hwsrc=mac, psrc="0.0.0.0", pdst=str(ip)
        )
    group = IPv6Address(SOLICITED | int(ip) & 0xFFFFFF)
    to = "33:33:" + group.packed[-4:].hex(":")
    return (
        Ether(src=mac, dst=to) / IPv6(src="::", dst=str(group), hlim=255) / ICMPv6ND_NS(tgt=str(ip))
    )


def _replies(sock: socket.socket) -> Iterator[tuple[IPAddress, str]]:
    """Read the replies that have come: an address, and the MAC that claims it."""
    while True:
        try:
            data, sender = sock.recvfrom(2048)
        except OSError:
            return
        frame: Any = Ether(data)
        if sender[2] == OUTGOING:
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
