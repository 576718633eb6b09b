"""Listeners: they answer requests, in all namespaces at once.

Each listener has a secret token, and answers with the token and the source address that it
observes. So the client can tell it from another host with the same address, and from another server
on the same port.

The kernel answers pings, and has no token. So plumb opens a raw socket in the target's namespace: a
ping counts once that socket has received the request.
"""

from __future__ import annotations

import errno
import secrets
import selectors
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from plumb.address import IPAddress, family
from plumb.kernel.net.probe_socket import ICMP, RECVERR
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import ECHO_TYPES, echo_request, ip_header
from plumb.probes.promises.promise import Protocol

TOKEN = 8
"""Bytes of a token."""
MARK = b"plumb?"
"""Prefix of plumb's payloads: a raw socket receives the pings of all programs."""
NUMBER = struct.Struct("!Q")
BACKLOG = 4096
SO_RCVBUFFORCE, RECEIVE = 33, 4 << 20
"""The receive buffer in bytes: all clients may send to one listener at the same moment."""
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1  # linux/in.h, linux/icmp.h, linux/icmpv6.h
ECHOES_ONLY = {
    4: (SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << 8 | 1) & 0xFFFFFFFF)),
    6: (
        socket.IPPROTO_ICMPV6,
        ICMPV6_FILTER,
        struct.pack("=8I", *(~(0b11 if word == 4 else 0) & 0xFFFFFFFF for word in range(8))),
    ),
}
"""The filters of raw sockets: a bit for each ICMP type to drop, so all but echoes."""


def nonblocking(made: socket.socket) -> socket.socket:
    """Make a socket non-blocking, with a large receive buffer where the user may set one."""
    made.setblocking(False)
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE)
    return made


@dataclass
class Listener:
    """Socket that answers at an address.

    Attributes:
        place: the namespace's file.
        port: 0 if it could not be opened.
        failed: the errno if it could not be opened; EADDRINUSE: the container's own server has the
            port.
    """

    place: str
    address: IPAddress
    protocol: Protocol
    port: int
    token: bytes = field(default_factory=lambda: secrets.token_bytes(TOKEN))
    socket: socket.socket | None = None
    failed: int = 0

    @property
    def foreign(self) -> bool:
        """True if the container's own server has the port."""
        return self.failed == errno.EADDRINUSE


class Received(NamedTuple):
    """A ping that came to a raw socket.

    Attributes:
        number: its request's number.
        reply: True for an echo reply, False for a request.
        peer: the address that sent it.
        ttl: its TTL; 0: not known.
    """

    number: int
    reply: bool
    peer: str
    ttl: int


class IcmpListener:
    """A raw socket for a namespace's pings of one family: sends requests, receives all echoes."""

    def __init__(self, place: str, version: int) -> None:
        self.place, self.version = place, version
        with entered(place):
            self.socket = nonblocking(
                socket.socket(family(version), socket.SOCK_RAW, ICMP[version])
            )
        self.socket.setsockopt(*ECHOES_ONLY[version])
        self.socket.setsockopt(*RECVERR[version], 1)

    def receive(self) -> Iterator[Received]:
        """Receive all pings of plumb's that have come."""
        while True:
            try:
                data, peer = self.socket.recvfrom(2048)
            except OSError:
                return
            # A raw socket of IPv4 reads the IP header as well (raw(7)).
            header = ip_header(data) if self.version == 4 else None
            body = data[header.size :] if header else data
            if (
                len(body) >= 8 + len(MARK) + NUMBER.size
                and body[8 : 8 + len(MARK)] == MARK
                and body[0] in ECHO_TYPES[self.version]
            ):
                yield Received(
                    NUMBER.unpack_from(body, 8 + len(MARK))[0],
                    body[0] == ECHO_TYPES[self.version][1],
                    peer[0].partition("%")[0],
                    header.ttl if header else 0,
                )


def numbered_echo(version: int, number: int, sequence: int = 1, padding: int = 0) -> bytes:
    """An echo request with a request's number in its payload.

    Args:
        padding: the number of zero bytes after the number.
    """
    data = MARK + NUMBER.pack(number) + bytes(padding)
    return echo_request(version, number & 0xFFFF, sequence, data)


class Listeners:
    """Listeners of a session; each is opened at its first use."""

    def __init__(
        self, places: Mapping[str, str], stack: ExitStack, watch: selectors.BaseSelector
    ) -> None:
        self._places, self._stack, self._watch = places, stack, watch
        self._listeners: dict[tuple[str, IPAddress, Protocol, int], Listener] = {}
        self._tokens: dict[bytes, Listener] = {}

    def at(self, name: str, address: IPAddress, protocol: Protocol, port: int) -> Listener:
        """The listener at an address in a name's namespace; port 0: any."""
        key = (self._places[name], address, protocol, port)
        if key not in self._listeners:
            made = self._listeners[key] = self._open(Listener(*key))
            self._tokens[made.token] = made
        return self._listeners[key]

    def by_token(self, token: bytes) -> Listener | None:
        """The listener with that token, None if there is none."""
        return self._tokens.get(token)

    def _open(self, made: Listener) -> Listener:
        stream = made.protocol is Protocol.TCP
        with entered(made.place):
            server = self._stack.enter_context(
                socket.socket(
                    family(made.address.version),
                    socket.SOCK_STREAM if stream else socket.SOCK_DGRAM,
                )
            )
        nonblocking(server)
        if stream:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((str(made.address), made.port))
            if stream:
                server.listen(BACKLOG)
        except OSError as error:
            made.failed, made.port = (
                error.errno or -1,
                0 if error.errno != errno.EADDRINUSE else made.port,
            )
            return made
        made.socket, made.port = server, server.getsockname()[1]
        self._watch.register(server, selectors.EVENT_READ, made)
        return made


def answer(listener: Listener) -> None:
    """Answer all requests that have come.

    The answer is the token, the request's data (UDP), and the client's address.
    """
    assert listener.socket is not None
    for _ in range(BACKLOG):
        try:
            if listener.protocol is Protocol.TCP:
                connection, peer = listener.socket.accept()
                with connection:
                    connection.send(listener.token + peer_address(peer))
            else:
                data, peer = listener.socket.recvfrom(64)
                listener.socket.sendto(listener.token + data + peer_address(peer), peer)
        except BlockingIOError:
            return
        except OSError:
            continue  # the client has closed its socket, or there is no route back


def peer_address(peer: tuple[str, ...]) -> bytes:
    """A peer's address, as bytes for the answer."""
    return peer[0].partition("%")[0].encode()
