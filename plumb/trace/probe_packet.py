"""Probe packet: a real packet, sent by a plain socket in the source namespace.

Its client port (or an echo's identifier) is used by no other socket, so that it identifies the
packet in every namespace, however often NAT rewrites its addresses. To connection tracking the
packet is a new flow, so that the kernel evaluates NAT's rules for it.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from typing import Self

from plumb.address import IPAddress
from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.kernel.net.probe_socket import (
    HEADERS,
    IP_PMTUDISC_DO,
    MTU_DISCOVER,
    TTL,
    open_probe_socket,
)
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import ECHO_TYPES, echo_request, ip_header
from plumb.model.observations import Flow, Netns
from plumb.trace.path import TraceOutcome

DATA = b"plumb trace"
PORTS = range(20000, 32000)
"""Ports below those that the kernel assigns itself (net.ipv4.ip_local_port_range)."""


@frozen
class ProbePacket:
    """Packet to send.

    Attributes:
        place: the source namespace.
        ip, port: the destination; port 0 for ICMP.
        protocol: "tcp", "udp", "sctp" or "icmp".
        sport: the client's port, or the echo's identifier; 0: a free one.
        size: bytes of the whole packet, sent with DF set; 0: a few.
        ttl: the time to live; 0: the kernel's default.
    """

    place: Netns
    ip: IPAddress
    protocol: str
    port: int = 0
    sport: int = 0
    size: int = 0
    ttl: int = 0


class Probe:
    """Socket that sends a probe packet once.

    Raises:
        Invalid: the packet cannot be sent so.
        KernelRefused: the kernel refuses the socket, or the namespace.
        Unsupported: this kernel does not have the protocol.
    """

    def __init__(self, question: ProbePacket) -> None:
        self.question = question
        if question.size and question.protocol not in ("icmp", "udp"):
            raise Invalid(
                "only /udp and /icmp questions can be of a given size",
                "a TCP handshake's packets are small",
            )
        self._socket = self._open()
        self.flow = Flow(question.ip.version, question.protocol, self._token(), question.port)
        self._error = ""
        self._answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _open(self) -> socket.socket:
        packet, version = self.question, self.question.ip.version
        opened = open_probe_socket(packet.place, version, packet.protocol)
        if packet.size:
            opened.setsockopt(*MTU_DISCOVER[version], IP_PMTUDISC_DO)
        if packet.ttl:
            opened.setsockopt(*TTL[version], packet.ttl)
        return opened

    def _token(self) -> int:
        asked = self.question
        if asked.protocol == "icmp":
            return asked.sport or 1 + secrets.randbelow(0xFFFE)
        any_address = "0.0.0.0" if asked.ip.version == 4 else "::"
        while True:
            port = asked.sport or secrets.choice(PORTS)
            try:
                self._socket.bind((any_address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                if asked.sport:
                    raise Invalid(
                        f"port {port} is taken in {asked.place.name}",
                        "name another with --source-port",
                    ) from error
            else:
                return port

    def send(self) -> None:
        """Send the probe packet."""
        asked = self.question
        with entered(
            asked.place.ns
        ):  # a link-local address names its link by a number of that namespace
            failed = self._socket.connect_ex((str(asked.ip), asked.port))
        if failed not in (0, errno.EINPROGRESS):
            self._error = errno.errorcode.get(failed, str(failed))
        elif asked.protocol in ("udp", "icmp"):
            try:
                self._socket.send(self._data())
            except OSError as error:
                self._error = errno.errorcode.get(error.errno or 0, str(error))

    def _data(self) -> bytes:
        asked = self.question
        room = max(asked.size - HEADERS[asked.ip.version], 0)
        data = (DATA * (1 + room // len(DATA)))[:room] if room else DATA
        return (
            data
            if asked.protocol == "udp"
            else echo_request(asked.ip.version, self.flow.token, 1, data)
        )

    def outcome(self) -> TraceOutcome:
        """Outcome so far, without waiting."""
        if not (self._answered or self._error):
            self._look()
        return TraceOutcome(self._answered, self._error, self.question.protocol == "udp")

    @property
    def settled(self) -> bool:
        """True if a reply or an error has come."""
        found = self.outcome()
        return found.answered or bool(found.error)

    def _look(self) -> None:
        try:
            if self.question.protocol in ("tcp", "sctp"):
                failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    raise OSError(failed, os.strerror(failed))
                self._socket.getpeername()  # ENOTCONN until there is a connection
                self._answered = True
            else:
                self._answered = self._is_answer(self._socket.recv(1 << 16))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOTCONN, errno.EINPROGRESS):
                self._error = errno.errorcode.get(error.errno or 0, str(error))

    def _is_answer(self, data: bytes) -> bool:
        if self.question.protocol != "icmp":
            return True
        version = self.question.ip.version
        # A raw socket of IPv4 reads the IP header as well (raw(7)).
        header = ip_header(data) if version == 4 else None
        body = data[header.size :] if header else data
        return (
            body[0] == ECHO_TYPES[version][1]
            and int.from_bytes(body[4:6], "big") == self.flow.token
        )
