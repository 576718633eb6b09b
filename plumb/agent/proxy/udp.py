"""The user-land proxy for datagrams.

UDP has no connections, so the proxy keeps a table of who has asked.

For each client, and each address of the host that it has asked at, there is a socket that is
connected to the container:
by it the container tells clients apart, and by it an answer finds its client again. Nobody says
when a client is done; an entry ends after a while without a datagram either way, 90 s as
docker-proxy's.

A host has many addresses, and a client takes an answer only from the one that it has asked. A
socket bound to 0.0.0.0 would answer from whichever address the route suggests; so each datagram
tells where it was sent (IP_PKTINFO, ip(7); IPV6_RECVPKTINFO, RFC 3542), and the answer is sent from
there by the same means.

A container in which nobody listens answers with ICMP port unreachable, which the next call on the
socket reports as ECONNREFUSED: about an earlier datagram, so the call is made again. Perhaps
somebody listens later.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from plumb.agent.loop import IN, Loop, Timer

IDLE = 90.0
"""Seconds without a datagram after which a client is forgotten."""
CLIENTS = 4096
"""Clients of one port that are remembered.

One more, and the one that has been silent for longest is forgotten.
"""
BATCH = 32
"""Datagrams that are handed on before it is the others' turn."""
ROOM = memoryview(bytearray(65535))
"""For the datagram that is being handed on: one at a time, so one place for all."""
TOLD = socket.CMSG_SPACE(20)
"""Room for what is told with it: the larger of the two structures."""

IP_PKTINFO = 8
"""ip(7); Python has no name for it before 3.12."""
Key = tuple[Any, bytes]


class Client:
    """Who has asked, where, and the socket on which the container answers."""

    __slots__ = ("address", "key", "seen", "sender", "socket")

    def __init__(self, key: Key, sender: list[tuple[int, int, bytes]], sock: socket.socket) -> None:
        self.key, self.address, self.sender, self.socket = key, key[0], sender, sock
        self.seen = 0.0


class DatagramProxy:
    """Hands on the datagrams of one bound socket.

    Args:
        loop: whom to ask to be called.
        listener: a bound UDP socket that does not block and tells where a datagram was sent; it
        stays the caller's.
        target: the container's address and port.
        idle: seconds after which a silent client is forgotten.
        clients: how many are remembered.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        target: tuple[str, int],
        idle: float = IDLE,
        clients: int = CLIENTS,
    ) -> None:
        self._loop, self._listener, self._target = loop, listener, target
        self._idle, self._most = idle, clients
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.clients: OrderedDict[Key, Client] = (
            OrderedDict()
        )  # the one that has been silent for longest comes first
        self._sweep: Timer | None = None
        loop.watch(listener.fileno(), IN, self._on_listener)

    def _on_listener(self, events: int) -> None:
        """Datagrams from clients."""
        now = time.monotonic()
        for _ in range(BATCH):
            try:
                size, told, _, address = self._listener.recvmsg_into([ROOM], TOLD)
            except BlockingIOError:
                return
            except OSError:
                continue
            client = self._client(address, told, now)
            if client is not None:
                self._touch(client, now)
                _send(client.socket, ROOM[:size])

    def _client(
        self, address: Any, told: list[tuple[int, int, bytes]], now: float
    ) -> Client | None:
        """The table's entry for a datagram.

        None where there is no route, or no descriptor left for one.
        """
        sender = answering(told)
        key = (address, sender[0][2] if sender else b"")
        client = self.clients.get(key)
        if client is None:
            if len(self.clients) >= self._most or (self._loop.full and self.clients):
                self._forget(next(iter(self.clients.values())))
            try:
                client = self.clients[key] = self._welcome(key, sender)
            except OSError:
                return None
            if self._sweep is None:
                self._sweep = self._loop.later(self._idle, self._forget_idle)
        return client

    def _welcome(self, key: Key, sender: list[tuple[int, int, bytes]]) -> Client:
        sock = socket.socket(
            self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            client = Client(key, sender, sock)
            sock.connect(self._target)
            self._loop.watch(sock.fileno(), IN, lambda events: self._on_answer(client))
        except OSError:
            sock.close()
            raise
        return client

    def _on_answer(self, client: Client) -> None:
        """Datagrams from the container for a client."""
        self._touch(client, time.monotonic())
        for _ in range(BATCH):
            try:
                size = client.socket.recv_into(ROOM)
            except BlockingIOError:
                return
            except OSError:
                continue  # nobody listened there a moment ago; asking has cleared it
            try:
                self._listener.sendmsg([ROOM[:size]], client.sender, 0, client.address)
            except OSError:
                pass  # the way to the client is full, or gone: datagrams get lost

    def _touch(self, client: Client, now: float) -> None:
        client.seen = now
        self.clients.move_to_end(client.key)

    def _forget(self, client: Client) -> None:
        del self.clients[client.key]
        self._loop.forget(client.socket.fileno())
        client.socket.close()

    def _forget_idle(self) -> None:
        """Forget whoever has been silent for long, and come again when the next one will have been."""
        self._sweep = None
        now = time.monotonic()
        for client in [*self.clients.values()]:
            left = client.seen + self._idle - now
            if left > 0:
                self._sweep = self._loop.later(left, self._forget_idle)
                break
            self._forget(client)

    def close(self) -> None:
        """Take no datagram any more, forget all clients, and what they have sent last."""
        self._loop.unwatch(self._listener.fileno())
        if self._sweep is not None:
            self._sweep.cancel()
        for client in [*self.clients.values()]:
            self._forget(client)
        with suppress(BlockingIOError):
            while True:
                self._listener.recv_into(ROOM)


def _send(sock: socket.socket, datagram: memoryview) -> None:
    """Send; once more if what came back was an answer to an earlier one."""
    for _ in range(2):
        try:
            sock.send(datagram)
            return
        except ConnectionRefusedError:
            continue
        except OSError:
            return  # no route, no room: datagrams get lost


def answering(told: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What to say with an answer so that it leaves from the address at which the question came in.

    Args:
        told: the control messages of the question. struct in_pktinfo is an interface's number, the
            host's own address and the one in the header (another one if that was a broadcast);
            struct in6_pktinfo an address and a number.
    """
    for level, kind, data in told:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            # A link-local address is one only together with its link; any other answer may leave by
            # any.
            link = data[16:20] if data[0] == 0xFE and data[1] & 0xC0 == 0x80 else bytes(4)
            return [(level, kind, data[:16] + link)]
    return []
