"""Listening: the answering side of traffic, at home in every namespace at once.

Each listener has a token that nobody else knows, and answers with it and with the address that it
sees. So a host that merely has the same address, or a server that merely has the same port, does
not pass for it.

Pings are answered by the kernel, which knows no tokens. So an ear, a raw socket, is opened where
they must arrive: a ping counts when it was heard there.
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
"""What our questions begin with, so that a raw socket knows them among all others."""
NUMBER = struct.Struct("!Q")
BACKLOG = 4096
SO_RCVBUFFORCE, RECEIVE = 33, 4 << 20
"""Everybody may ask one listener at the same moment."""
SOL_RAW, ICMP_FILTER, ICMPV6_FILTER = 255, 1, 1  # linux/in.h, linux/icmp.h, linux/icmpv6.h
ECHOES_ONLY = {
    4: (SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << 8 | 1) & 0xFFFFFFFF)),
    6: (
        socket.IPPROTO_ICMPV6,
        ICMPV6_FILTER,
        struct.pack("=8I", *(~(0b11 if word == 4 else 0) & 0xFFFFFFFF for word in range(8))),
    ),
}
"""The filters of raw sockets: a bit for each type of ICMP that is kept out, so all but echoes."""


def roomy(made: socket.socket) -> socket.socket:
    """A socket that does not block and has room for many datagrams, as far as its user may."""
    made.setblocking(False)
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE)
    return made


@dataclass
class Listener:
    """Who answers at an address.

    Attributes:
        place: the namespace.
        port: where; 0 where it could not be opened.
        failed: the errno with which it could not be opened; EADDRINUSE: somebody's own server is
        there.
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
        """Whether somebody's own server is there."""
        return self.failed == errno.EADDRINUSE


class Received(NamedTuple):
    """A ping that came to an ear.

    Its question's number, whether it is the answer, who sent it, and its TTL (0: not known).
    """

    number: int
    reply: bool
    peer: str
    ttl: int


class IcmpListener:
    """A raw socket: it sends a namespace's pings of one family, and hears those that come there, and their answers."""

    def __init__(self, place: str, version: int) -> None:
        self.place, self.version = place, version
        with entered(place):
            self.socket = roomy(socket.socket(family(version), socket.SOCK_RAW, ICMP[version]))
        self.socket.setsockopt(*ECHOES_ONLY[version])
        self.socket.setsockopt(*RECVERR[version], 1)

    def hear(self) -> Iterator[Received]:
        """All that has come and is ours."""
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
    """A ping that carries a question's number.

    Args:
        padding: bytes behind it, to make it long.
    """
    data = MARK + NUMBER.pack(number) + bytes(padding)
    return echo_request(version, number & 0xFFFF, sequence, data)


class Listeners:
    """All listeners of an exchange; each is opened when it is first asked for."""

    def __init__(
        self, places: Mapping[str, str], stack: ExitStack, watch: selectors.BaseSelector
    ) -> None:
        self._places, self._stack, self._watch = places, stack, watch
        self._known: dict[tuple[str, IPAddress, Protocol, int], Listener] = {}
        self._tokens: dict[bytes, Listener] = {}

    def at(self, name: str, address: IPAddress, protocol: Protocol, port: int) -> Listener:
        """The listener at an address in somebody's place; port 0: any."""
        key = (self._places[name], address, protocol, port)
        if key not in self._known:
            made = self._known[key] = self._opened(Listener(*key))
            self._tokens[made.token] = made
        return self._known[key]

    def of(self, token: bytes) -> Listener | None:
        """Whose token that is."""
        return self._tokens.get(token)

    def _opened(self, made: Listener) -> Listener:
        stream = made.protocol is Protocol.TCP
        with entered(made.place):
            server = self._stack.enter_context(
                socket.socket(
                    family(made.address.version),
                    socket.SOCK_STREAM if stream else socket.SOCK_DGRAM,
                )
            )
        roomy(server)
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
    """Answer all who have asked by now.

    With the token, with what was asked, and with whom one sees.
    """
    assert listener.socket is not None
    for _ in range(BACKLOG):
        try:
            if listener.protocol is Protocol.TCP:
                connection, peer = listener.socket.accept()
                with connection:
                    connection.send(listener.token + seen(peer))
            else:
                data, peer = listener.socket.recvfrom(64)
                listener.socket.sendto(listener.token + data + seen(peer), peer)
        except BlockingIOError:
            return
        except OSError:
            continue  # who asked has gone meanwhile, or there is no way back


def seen(peer: tuple[str, ...]) -> bytes:
    """The address of a peer, for the answer."""
    return peer[0].partition("%")[0].encode()
