"""User-land proxy for UDP.

UDP has no connections, so the proxy keeps a table of clients.

Each client, and each address of the host that it sends to, has a socket of its own that is
connected to the container: the container tells clients apart by it, and the proxy finds the client
of a reply by it. UDP has no end of a session; an entry expires after 90 s without a packet in
either direction, as in docker-proxy, or earlier where descriptors are short: each entry is a lease
of one (`shares`).

A host has many addresses, and a client accepts a reply only from the one that it has sent to. A
socket bound to 0.0.0.0 would reply from the address that the route suggests; so the kernel reports
with each packet the address it was sent to (IP_PKTINFO, ip(7); IPV6_RECVPKTINFO, RFC 3542), and the
proxy sets the reply's source address by the same means.

A container without a listener at that port sends ICMP port unreachable, and the next call on the
socket reports ECONNREFUSED. That is about an earlier packet, so the proxy repeats the call: there
may be a listener by now.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from plumb.agent.loop import IN, Loop, Timer
from plumb.agent.shares import Lease, Party, Peer, peer_of

IDLE = 90.0
"""Seconds without a packet after which a client's entry expires."""
CLIENTS = 4096
"""Clients of one port that the table holds, at most."""
BATCH = 32
"""Packets that are forwarded before other sockets have their turn."""
MAX_REFUSED = 4
"""Packets among them that find no room, or take another's, at most."""
DATAGRAM = memoryview(bytearray(65535))
"""Buffer for the packet that is being forwarded: one at a time, so all share it."""
CONTROL_SIZE = socket.CMSG_SPACE(20)
"""Size of the control message: the larger of the two structures."""

IP_PKTINFO = 8
"""Option of ip(7); Python has no name for it before 3.12."""
Key = tuple[Any, bytes]


class Client(Lease):
    """Table entry: a client, the address it sends to, and the socket to the container."""

    __slots__ = ("_proxy", "address", "key", "socket", "source")

    def __init__(
        self,
        proxy: DatagramProxy,
        peer: Peer,
        key: Key,
        source: list[tuple[int, int, bytes]],
        sock: socket.socket,
    ) -> None:
        super().__init__(peer, proxy.loop.now)
        self._proxy, self.key, self.address, self.source = proxy, key, key[0], source
        self.socket = sock

    def shed(self) -> None:
        """Remove the entry."""
        self._proxy.forget(self)


class DatagramProxy:
    """Proxy of one bound UDP socket.

    Args:
        loop: the event loop.
        listener: a non-blocking bound UDP socket that reports each packet's destination address;
            the caller closes it.
        target: the container's address and port.
        party: counts the entries.
        idle: seconds after which the entry of a silent client expires.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        target: tuple[str, int],
        party: Party,
        idle: float = IDLE,
    ) -> None:
        self.loop, self._listener, self._target = loop, listener, target
        self._idle, self._party = idle, party
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.clients: OrderedDict[Key, Client] = (
            OrderedDict()
        )  # the one that has been silent for longest comes first
        self._timer: Timer | None = None
        loop.watch(listener.fileno(), IN, self._on_listener)

    def _on_listener(self, events: int) -> None:
        """Forward packets from clients; at a bound fewer, so that the other ports' come first."""
        now, met = self.loop.now, self._party.met
        for _ in range(BATCH):
            if self._party.met - met >= MAX_REFUSED:
                return
            try:
                size, control, _, address = self._listener.recvmsg_into([DATAGRAM], CONTROL_SIZE)
            except BlockingIOError:
                return
            except OSError:
                continue
            client = self._client(address, control)
            if client is not None:
                self._touch(client, now)
                _send(client.socket, DATAGRAM[:size])

    def _client(self, address: Any, control: list[tuple[int, int, bytes]]) -> Client | None:
        """Find or make the table entry for a packet.

        None if there is no route, no room, or no file descriptor left.
        """
        source = source_control(control)
        key = (address, source[0][2] if source else b"")
        client = self.clients.get(key)
        if client is None:
            peer = self._party.room(peer_of(address[0]), Client.cost, self.loop.now)
            if peer is None:
                self._party.refused += 1
                return None
            try:
                client = self.clients[key] = self._connect(peer, key, source)
            except OSError:
                return None
            if self._timer is None:
                self._timer = self.loop.later(self._idle, self._forget_idle)
        return client

    def _connect(self, peer: Peer, key: Key, source: list[tuple[int, int, bytes]]) -> Client:
        sock = socket.socket(
            self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            sock.connect(self._target)
            self.loop.watch(sock.fileno(), IN, lambda events: self._on_answer(client))
        except OSError:
            sock.close()
            raise
        client = Client(self, peer, key, source, sock)
        return client

    def _on_answer(self, client: Client) -> None:
        """Forward packets from the container to a client."""
        self._touch(client, self.loop.now)
        for _ in range(BATCH):
            try:
                size = client.socket.recv_into(DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # nobody listened there a moment ago; asking has cleared it
            try:
                self._listener.sendmsg([DATAGRAM[:size]], client.source, 0, client.address)
            except OSError:
                pass  # the way to the client is full, or gone: datagrams get lost

    def _touch(self, client: Client, now: float) -> None:
        client.active = now
        self.clients.move_to_end(client.key)

    def forget(self, client: Client) -> None:
        """Remove an entry, and close its socket."""
        del self.clients[client.key]
        self.loop.forget(client.socket.fileno())
        client.socket.close()
        client.release()

    def _forget_idle(self) -> None:
        """Remove expired entries, and set the timer for the next one."""
        self._timer = None
        now = time.monotonic()
        for client in [*self.clients.values()]:
            left = client.active + self._idle - now
            if left > 0:
                self._timer = self.loop.later(left, self._forget_idle)
                break
            self.forget(client)

    def close(self) -> None:
        """Stop reading, and drop all entries and the packets that are queued."""
        self.loop.unwatch(self._listener.fileno())
        if self._timer is not None:
            self._timer.cancel()
        for client in [*self.clients.values()]:
            self.forget(client)
        with suppress(BlockingIOError):
            while True:
                self._listener.recv_into(DATAGRAM)


def _send(sock: socket.socket, datagram: memoryview) -> None:
    """Send a packet; once more if the error was about an earlier one."""
    for _ in range(2):
        try:
            sock.send(datagram)
            return
        except ConnectionRefusedError:
            continue
        except OSError:
            return  # no route, no room: datagrams get lost


def source_control(control: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Build the control message that sets a reply's source to its request's destination.

    Args:
        control: control messages of the request. struct in_pktinfo has an interface index, the
            host's own address and the one in the header (another one for a broadcast); struct
            in6_pktinfo an address and an index.
    """
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            # A link-local address is one only together with its link; any other answer may leave by
            # any.
            link = data[16:20] if data[0] == 0xFE and data[1] & 0xC0 == 0x80 else bytes(4)
            return [(level, kind, data[:16] + link)]
    return []
