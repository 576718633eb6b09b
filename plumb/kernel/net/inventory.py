"""The landscape of a namespace.

Its links, addresses and neighbours, read with rtnetlink in one dump each.

A veth says the number of its other end, and by which number its own namespace knows the one where
that is (IFLA_LINK, IFLA_LINK_NETNSID); these numbers differ from namespace to namespace, and
RTM_GETNSID tells them for an open file. So cables are followed from one namespace into another.

Whoever traces reads a dozen namespaces before the first packet goes; so the few attributes that
matter are picked out of the messages as they are (linux/rtnetlink.h, linux/if_link.h): some 20 µs a
link.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_interface
from typing import Self

from plumb.kernel.netlink.codec import DONE, DUMP, ERROR, HEADER, REQUEST, attribute, attributes
from plumb.kernel.netns.namespaces import entered
from plumb.model.netns_state import IPInterface, Link, Neighbour, Port
from plumb.model.observations import Netns

GETLINK, GETADDR, GETNEIGH, GETNSID = 18, 22, 30, 90
LINK, ADDRESS, NEIGHBOUR = (
    struct.Struct("=BxHiII"),
    struct.Struct("=BBBBI"),
    struct.Struct("=BxxxiHBB"),
)
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
MAC, IFNAME, MTU, PEER, MASTER, LINKINFO, PEER_NS = 1, 3, 4, 5, 10, 18, 37
KIND, DATA, SLAVE_KIND, SLAVE_DATA = 1, 2, 4, 5
MODES = {
    "macvlan": {1: "private", 2: "vepa", 4: "bridge", 8: "passthru"},
    "ipvlan": {0: "l2", 1: "l3", 2: "l3s"},
}
NUD = {
    0x01: "INCOMPLETE",
    0x02: "REACHABLE",
    0x04: "STALE",
    0x08: "DELAY",
    0x10: "PROBE",
    0x20: "FAILED",
    0x40: "NOARP",
    0x80: "PERMANENT",
}
HERE = "/proc/thread-self/ns/net"


class LinkInventory:
    """A rtnetlink socket in a namespace, which stays there wherever the thread goes.

    Raises:
        KernelRefused: there is no such namespace.
    """

    def __init__(self, place: Netns) -> None:
        self.place = place
        with entered(place.ns):
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0
            )
        self._socket.settimeout(2.0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the socket, and so of the namespace."""
        self._socket.close()

    def links(self) -> tuple[Link, ...]:
        """All links, in the order of their numbers."""
        found = (self._link(payload) for payload in self._dump(GETLINK, LINK.pack(0, 0, 0, 0, 0)))
        return tuple(sorted(found, key=lambda link: link.index))

    def addresses(self, links: Sequence[Link]) -> tuple[tuple[str, IPInterface], ...]:
        """All addresses, with their links' names."""
        names, found = {link.index: link.name for link in links}, []
        for payload in self._dump(GETADDR, ADDRESS.pack(0, 0, 0, 0, 0)):
            _, prefix, _, _, index = ADDRESS.unpack_from(payload)
            told = attributes(payload[ADDRESS.size :])
            packed = told.get(2) or told.get(1)  # IFA_LOCAL, or IFA_ADDRESS where there is no peer
            if packed:
                found.append((names.get(index, ""), ip_interface(f"{ip_address(packed)}/{prefix}")))
        return tuple(found)

    def neighbours(self, links: Sequence[Link]) -> tuple[Neighbour, ...]:
        """What is known of neighbours' MAC addresses."""
        names, found = {link.index: link.name for link in links}, []
        for payload in self._dump(GETNEIGH, NEIGHBOUR.pack(0, 0, 0, 0, 0)):
            family, index, state, _, _ = NEIGHBOUR.unpack_from(payload)
            told = attributes(payload[NEIGHBOUR.size :])
            if family in (socket.AF_INET, socket.AF_INET6) and 1 in told:
                mac = told.get(2, b"").hex(":")
                found.append(
                    Neighbour(
                        names.get(index, ""), ip_address(told[1]), mac, NUD.get(state, "NONE")
                    )
                )
        return tuple(found)

    def number_of(self, descriptor: int) -> int | None:
        """By which number this namespace knows another one; None where it does not.

        Args:
            descriptor: an open file of the other one.
        """
        body = bytes(4) + attribute(3, struct.pack("=I", descriptor))  # rtgenmsg; NETNSA_FD
        for payload in self._ask(GETNSID, REQUEST, body):
            number = struct.unpack("=i", attributes(payload[4:])[1])[0]  # NETNSA_NSID
            return None if number < 0 else int(number)
        return None

    def _link(self, payload: bytes) -> Link:
        _, _, index, flags, _ = LINK.unpack_from(payload)
        found = attributes(payload[LINK.size :])
        about = attributes(found.get(LINKINFO, b""))
        kind = about.get(KIND, b"").rstrip(b"\0").decode()
        own = _number(
            attributes(about.get(DATA, b"")).get(1, b"")
        )  # each kind's first attribute: a mode, a VLAN's number
        name, mac = found[IFNAME].rstrip(b"\0").decode(), found.get(MAC, b"").hex(":")
        mtu, master, peer = (_number(found.get(number, b"")) for number in (MTU, MASTER, PEER))
        return Link(
            self.place,
            index,
            name,
            kind,
            mac,
            mtu,
            bool(flags & IFF_UP),
            bool(flags & IFF_LOWER_UP),
            master,
            peer,
            _number(found[PEER_NS]) if PEER_NS in found else None,
            MODES.get(kind, {}).get(own, ""),
            own if kind == "vlan" else 0,
            _port(about),
        )

    def _dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        yield from self._ask(kind, REQUEST | DUMP, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(
            HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body
        )
        while True:
            data, at = self._socket.recv(1 << 18), 0
            while at + HEADER.size <= len(data):
                length, answer, _, sequence, _ = HEADER.unpack_from(data, at)
                if sequence == self._sequence:
                    if answer in (ERROR, DONE):
                        return
                    yield data[at + HEADER.size : at + length]
                    if not flags & DUMP:
                        return
                at += (length + 3) & ~3


def _port(about: dict[int, bytes]) -> Port | None:
    """What a bridge knows of a link, where it is a port of one (IFLA_BRPORT_*)."""
    if not about.get(SLAVE_KIND, b"").startswith(b"bridge"):
        return None
    found = attributes(about.get(SLAVE_DATA, b""))
    return Port(
        _number(found.get(1, b"\3")),
        hairpin=bool(_number(found.get(4, b""))),
        isolated=bool(_number(found.get(33, b""))),
    )


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")


def numbers(places: Sequence[LinkInventory]) -> dict[tuple[str, int], Netns]:
    """Which namespace is meant by which number in which other one.

    By the name of the place and the number.
    """
    found: dict[tuple[str, int], Netns] = {}
    for other in places:
        with suppress(OSError):
            descriptor = os.open(other.place.ns or HERE, os.O_RDONLY | os.O_CLOEXEC)
            try:
                for place in places:
                    number = place.number_of(descriptor) if place is not other else None
                    if number is not None:
                        found[place.place.name, number] = other.place
            finally:
                os.close(descriptor)
    return found
