"""Sockets that send requests: one for each namespace and IP version, opened at its first use."""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack

from plumb.address import IPAddress, family
from plumb.kernel.net.probe_socket import RECVERR
from plumb.kernel.netns.namespaces import entered
from plumb.probes.traffic.responders import IcmpListener, nonblocking

NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER: a socket that is closed resets the connection, and leaves nothing behind."""
OTHER = "somebody else"


class ClientSockets:
    """Sockets that send pings and datagrams, and receive the replies.

    Args:
        places: the namespace file of each name.
        stack: closes the sockets.
        watch: the selector that polls them.
    """

    def __init__(
        self, places: Mapping[str, str], stack: ExitStack, watch: selectors.BaseSelector
    ) -> None:
        self._places, self._stack, self._watch = places, stack, watch
        self._listeners: dict[tuple[str, int], IcmpListener] = {}
        self._senders: dict[tuple[str, int], socket.socket] = {}
        self._texts: dict[IPAddress, str] = {}

    def icmp(self, name: str, version: int) -> IcmpListener:
        """The raw socket of a name's namespace, for pings of one IP version."""
        return self.icmp_at(self._places[name], version)

    def icmp_at(self, ns: str, version: int) -> IcmpListener:
        """The raw socket of a namespace, for pings of one IP version."""
        key = ns, version
        if key not in self._listeners:
            made = self._listeners[key] = IcmpListener(*key)
            self._stack.enter_context(made.socket)
            self._watch.register(made.socket, selectors.EVENT_READ, made)
        return self._listeners[key]

    def datagrams(self, name: str, version: int) -> socket.socket:
        """The UDP socket of a name's namespace."""
        key = self._places[name], version
        if key not in self._senders:
            with entered(self._places[name]):
                made = datagrams(version)
            self._senders[key] = self._stack.enter_context(made)
            self._watch.register(made, selectors.EVENT_READ, made)
        return self._senders[key]

    def text(self, address: IPAddress) -> str:
        """An address as text, for sockets; cached."""
        if address not in self._texts:
            self._texts[address] = str(address)
        return self._texts[address]

    def name_of(self, ns: str) -> str:
        """A name that has this namespace."""
        return next((name for name, place in self._places.items() if place == ns), OTHER)


def connection(version: int) -> socket.socket:
    """A TCP socket of the namespace that the calling thread is in."""
    made = socket.socket(family(version), socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    made.setsockopt(*RECVERR[version], 1)  # routers' ICMP errors are reported at once
    return made


def datagrams(version: int) -> socket.socket:
    """A UDP socket of the namespace that the calling thread is in."""
    made = nonblocking(socket.socket(family(version), socket.SOCK_DGRAM))
    made.setsockopt(*RECVERR[version], 1)
    return made
