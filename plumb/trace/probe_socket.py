"""The probe: a real question with a plain socket, sent from inside the namespace that asks.

It has a client port (or an echo's identifier) that nobody else has, by which its packets are known
everywhere, however often their addresses are rewritten. Such a port also makes it a flow that
connection tracking has not seen, so that NAT's rules are asked.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Self

from plumb.address import IPAddress
from plumb.errors import Invalid, KernelRefused, Unsupported
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import Flow, Netns
from plumb.trace.path import TraceOutcome

DATA = b"plumb trace"
SCTP = 132
MTU_DISCOVER, DO_NOT_FRAGMENT = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}, 2
HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
HEADERS = {4: 28, 6: 48}
"""Bytes of IP's and UDP's (or an echo's) headers together."""
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
UNKNOWN = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT)
PORTS = range(20000, 32000)
"""Below those that the kernel hands out by itself (net.ipv4.ip_local_port_range)."""


@dataclass(frozen=True)
class ProbePacket:
    """What is sent.

    Attributes:
        place: from where; ip: to which address.
        sport: the client's port; 0: one that nobody has.
        size: bytes of the whole packet, 0: few. It is sent with "do not fragment".
        ttl: how many routers it may pass, 0: as many as usual.
    """

    place: Netns
    ip: IPAddress
    protocol: str
    port: int = 0
    sport: int = 0
    size: int = 0
    ttl: int = 0


class Probe:
    """A question that can be sent once.

    Raises:
        Invalid: there is something that cannot be asked so.
        KernelRefused: it may not be asked, or not from there.
        Unsupported: this kernel does not have the protocol.
    """

    def __init__(self, question: ProbePacket) -> None:
        self.question = question
        if question.size and question.protocol not in ("icmp", "udp"):
            raise Invalid(
                "only /udp and /icmp questions can be of a given size",
                "a TCP handshake's packets are small",
            )
        with entered(question.place.ns):
            self._socket = self._open()
        self.flow = Flow(question.ip.version, question.protocol, self._token(), question.port)
        self._error = ""
        self._answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _open(self) -> socket.socket:
        asked, version = self.question, self.question.ip.version
        kinds = {
            "tcp": (socket.SOCK_STREAM, 0),
            "udp": (socket.SOCK_DGRAM, 0),
            "sctp": (socket.SOCK_STREAM, SCTP),
            "icmp": (
                socket.SOCK_RAW,
                socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6,
            ),
        }
        kind, number = kinds[asked.protocol]
        try:
            opened = socket.socket(
                FAMILY[version], kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number
            )
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise KernelRefused(
                    f"ask by {asked.protocol} from {asked.place.name}", error.errno or 0
                ) from error
            raise Unsupported(
                f"this kernel does not have {asked.protocol} over IPv{version}", "see 'plumb env'"
            ) from error
        if asked.size:
            level, option = MTU_DISCOVER[version]
            opened.setsockopt(level, option, DO_NOT_FRAGMENT)
        if asked.ttl:
            level, option = HOPS[version]
            opened.setsockopt(level, option, asked.ttl)
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
        """Ask."""
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
        return data if asked.protocol == "udp" else echo(asked.ip.version, self.flow.token, data)

    def outcome(self) -> TraceOutcome:
        """What has become of it by now."""
        if not (self._answered or self._error):
            self._look()
        return TraceOutcome(self._answered, self._error, self.question.protocol == "udp")

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to wait for."""
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
        body = data[(data[0] & 15) * 4 :] if self.question.ip.version == 4 else data
        return body[0] in (0, 129) and int.from_bytes(body[4:6], "big") == self.flow.token


def echo(version: int, token: int, data: bytes) -> bytes:
    """An echo request (RFC 792, RFC 4443); the kernel fills in the checksum of ICMPv6 only."""
    if version == 6:
        return struct.pack("!BBHHH", 128, 0, 0, token, 1) + data
    words = struct.pack("!BBHHH", 8, 0, 0, token, 1) + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, token, 1) + data
