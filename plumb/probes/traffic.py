"""Traffic: promises held against the kernel, with real sockets, all at once.

A socket belongs to the namespace in which it was made, wherever it is used later. So one process can be at home in
every sandbox: it opens a listener for each address that is asked for, a client for each question, and watches them
all together. A handful of questions takes as long as ten thousand: until the last answer, or the deadline for those
that must not come.
"""

from __future__ import annotations

import errno
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from plumb.cnm import IPAddress
from plumb.kernel.namespaces import entered
from plumb.probes.promises import Promise, Protocol

TOKEN = b"plumb"
AGAIN = 0.35
"""Seconds after which a datagram that was not answered is sent once more: the first may wait for ARP in vain."""
ECHO = {4: (8, 0), 6: (128, 129)}
"""ICMP types of echo request and reply."""


@dataclass
class Outcome:
    """A promise, and what really happened.

    Attributes:
        reached: whether an answer came.
        own: the client's own address.
        seen: whom a service behind a published port saw.
    """

    promise: Promise
    reached: bool = False
    own: str = ""
    seen: str = ""

    @property
    def kept(self) -> bool:
        """Whether it was kept."""
        return self.reached == self.promise.reach and (not self.reached or self.expected in ("", self.seen))

    @property
    def expected(self) -> str:
        """Whom the service must see; "" where it was not asked."""
        service = self.promise.service
        return "" if service is None or not self.promise.reach else str(service.seen or self.own)


@dataclass
class _Client:
    """A question under way."""

    outcome: Outcome
    socket: socket.socket
    number: int
    sent: float = field(default=0.0)


def try_out(promises: Sequence[Promise], places: Mapping[str, str], seconds: float = 1.0) -> list[Outcome]:
    """Try what is promised.

    Args:
        promises: what to try.
        places: the namespace file of each name that the promises speak of ("" for the host's own).
        seconds: how long to wait for what must not come.
    """
    outcomes = [Outcome(promise) for promise in promises]
    first = secrets.randbelow(1 << 31)      # a number used before would be an answer to connection tracking, not a question
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        ports = _listen(promises, places, stack, watch)
        clients = [client for number, outcome in enumerate(outcomes, first)
                   if (client := _ask(outcome, number, places, ports, stack, watch)) is not None]
        _wait(clients, watch, time.monotonic() + seconds)
    return outcomes


# -- the answering side ---------------------------------------------------------------

Where = tuple[str, IPAddress, Protocol, int]
"""Who listens, at which address, by what, and on which port; 0 is any."""


def _listener(promise: Promise) -> Where:
    service = promise.service
    if service is None:
        return promise.target, promise.address, promise.protocol, 0
    return promise.target, service.ip, promise.protocol, service.own_port


def _listen(promises: Sequence[Promise], places: Mapping[str, str], stack: ExitStack, watch: selectors.BaseSelector) -> dict[Where, int]:
    """A listener for each address and protocol; its port."""
    ports: dict[Where, int] = {}
    for promise in promises:
        which = _listener(promise)
        if promise.protocol is Protocol.ICMP or which in ports:
            continue
        stream = promise.protocol is Protocol.TCP
        with entered(places[promise.target]):
            server = stack.enter_context(socket.socket(_family(which[1]), socket.SOCK_STREAM if stream else socket.SOCK_DGRAM))
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((str(which[1]), which[3]))
        if stream:
            server.listen(1024)             # the kernel completes the handshake; nobody need accept
        if not stream or promise.service is not None:
            watch.register(server, selectors.EVENT_READ, None)
        ports[which] = server.getsockname()[1]
    return ports


def _answer(server: socket.socket) -> None:
    """Answer with what was asked and with whom one sees: behind a published port, that tells the ways apart.

    Raises:
        OSError: who asked has gone meanwhile.
    """
    if server.type is socket.SOCK_STREAM:
        connection, peer = server.accept()
        with connection:
            connection.send(TOKEN + peer[0].encode())
    else:
        data, peer = server.recvfrom(64)
        server.sendto(data + peer[0].encode(), peer)


# -- the asking side ---------------------------------------------------------------


def _ask(outcome: Outcome, number: int, places: Mapping[str, str], ports: Mapping[Where, int],
         stack: ExitStack, watch: selectors.BaseSelector) -> _Client | None:
    promise = outcome.promise
    with entered(places[promise.source]):
        client = _Client(outcome, stack.enter_context(_socket(promise)), number)
    client.socket.setblocking(False)
    port = promise.service.port if promise.service else ports.get(_listener(promise), 0)
    failed = client.socket.connect_ex((str(promise.address), port))
    if failed not in (0, errno.EINPROGRESS):
        return None                         # no route: that is an answer too
    outcome.own = client.socket.getsockname()[0]
    if promise.protocol is Protocol.TCP:
        watch.register(client.socket, selectors.EVENT_READ if promise.service else selectors.EVENT_WRITE, client)
        return client
    watch.register(client.socket, selectors.EVENT_READ, client)
    _send(client)
    return client


def _family(address: IPAddress) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _socket(promise: Promise) -> socket.socket:
    family = _family(promise.address)
    if promise.protocol is Protocol.ICMP:
        return socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6)
    return socket.socket(family, socket.SOCK_STREAM if promise.protocol is Protocol.TCP else socket.SOCK_DGRAM)


def _send(client: _Client) -> None:
    """Send a question, or send it again."""
    promise = client.outcome.promise
    data = TOKEN + struct.pack("!I", client.number)
    if promise.protocol is Protocol.ICMP:
        data = _echo_request(promise.address.version, client.number, data)
    try:
        client.socket.send(data)
    except OSError:
        pass                                # an ICMP error for the one before; the deadline decides
    client.sent = time.monotonic()


def _echo_request(version: int, number: int, data: bytes) -> bytes:
    """An echo request; the kernel fills in the checksum of ICMPv6 only."""
    kind = ECHO[version][0]
    body = struct.pack("!HH", number & 0xFFFF, 1) + data
    if version == 6:
        return struct.pack("!BBH", kind, 0, 0) + body
    packet = struct.pack("!BBH", kind, 0, 0) + body + b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBH", kind, 0, ~(total + (total >> 16)) & 0xFFFF) + body


def _answered(client: _Client) -> bool:
    """Whether what has come is the answer."""
    promise = client.outcome.promise
    if promise.protocol is Protocol.TCP and promise.service is None:
        return client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    try:
        data = client.socket.recv(2048)
    except OSError:
        return False
    if promise.protocol is not Protocol.ICMP:
        token = TOKEN if promise.protocol is Protocol.TCP else TOKEN + struct.pack("!I", client.number)
        client.outcome.seen = data[len(token):].decode(errors="replace")
        return data.startswith(token)
    body = data[(data[0] & 15) * 4:] if promise.address.version == 4 else data
    return body[0] == ECHO[promise.address.version][1] and body[8:] .startswith(TOKEN + struct.pack("!I", client.number))


def _wait(clients: Sequence[_Client], watch: selectors.BaseSelector, deadline: float) -> None:
    """Watch until everything that must be reached was, and then a little for what must not be."""
    open_ones = {client.number: client for client in clients}
    while open_ones and (now := time.monotonic()) < deadline:
        for key, _ in watch.select(min(AGAIN / 2, deadline - now)):
            client = key.data
            if client is None:
                with suppress(OSError):     # the deadline decides
                    _answer(key.fileobj)    # type: ignore[arg-type]  # it was registered as a socket
            elif _answered(client):
                client.outcome.reached = True
                _forget(client, watch, open_ones)
            elif client.outcome.promise.protocol is Protocol.TCP:
                _forget(client, watch, open_ones)
        for client in open_ones.values():
            if client.outcome.promise.protocol is not Protocol.TCP and time.monotonic() - client.sent > AGAIN:
                _send(client)


def _forget(client: _Client, watch: selectors.BaseSelector, open_ones: dict[int, _Client]) -> None:
    watch.unregister(client.socket)
    del open_ones[client.number]
