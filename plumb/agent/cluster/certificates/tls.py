"""TLS contexts of nodes: version 1.3, certificates of the cluster's authorities and of no others.

A client accepts a server with a manager's certificate alone. A server asks for a certificate and
takes none for an answer, as a node that joins has none yet; which requests it may make without is
`api`'s to say. A certificate that is not of the cluster ends the connection.
"""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from plumb.errors import Invalid
from plumb.model.cluster import JOIN_PORT

MANAGER = "swarm-manager"
"""Name that a manager's certificate has (`pki.SERVER_NAMES`)."""
KEEPALIVE = 5
"""Seconds of silence on a connection before the kernel asks whether the other side is there."""


def server(certificate: str, authorities: str) -> ssl.SSLContext:
    """Context of a manager.

    Args:
        certificate: path of its certificate and key.
        authorities: certificates of all trusted authorities, PEM.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(cadata=authorities)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would show the certificate of an earlier connection.
    context.num_tickets = 0
    return context


def client(authorities: str, certificate: str = "") -> ssl.SSLContext:
    """Context of a node that speaks to a manager.

    Args:
        authorities: certificates of the trusted authorities, PEM.
        certificate: path of its certificate and key; empty for a node that joins.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authorities)
    if certificate:
        context.load_cert_chain(certificate)
    return context


def unverified() -> ssl.SSLContext:
    """Context for asking after the authority's certificate, which the token's digest proves."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class Connection(HTTPConnection):
    """HTTP connection to a manager.

    Args:
        place: HOST:PORT.
        context: TLS's.
        seconds: how long connecting, and each read and write, may take.
    """

    def __init__(self, place: str, context: ssl.SSLContext, seconds: float) -> None:
        host, port = split(place)
        super().__init__(host, port, timeout=seconds)
        self._context = context

    def connect(self) -> None:
        """Connect, and see that a manager answers."""
        raw = socket.create_connection((self.host, self.port), self.timeout)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(raw)
            self.sock = self._context.wrap_socket(raw, server_hostname=MANAGER)
        except BaseException:
            raw.close()
            raise

    def ask(self, method: str, path: str, body: bytes | None = None) -> HTTPResponse:
        """Send a request, and return its answer."""
        self.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        return self.getresponse()


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel end a connection to a host that is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, number in (
        (socket.TCP_KEEPIDLE, KEEPALIVE),
        (socket.TCP_KEEPINTVL, KEEPALIVE),
        (socket.TCP_KEEPCNT, 2),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, number)


def split(place: str) -> tuple[str, int]:
    """The host and the port of HOST[:PORT]; the port is 2377 where none is said.

    Raises:
        Invalid: it is not of that form.
    """
    host, colon, port = place.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = place, str(JOIN_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise Invalid(f"invalid address of a manager '{place}'", "as in 192.0.2.10:2377")
    return host, int(port)


def joined(host: str, port: int) -> str:
    """HOST:PORT, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def caller(connection: ssl.SSLSocket) -> tuple[str, bytes] | None:
    """The node id and the certificate (DER) that a client has shown; None without one."""
    certificate = connection.getpeercert(binary_form=True)
    shown = connection.getpeercert()
    if not certificate or not shown:
        return None
    names: Any = shown["subject"]  # tuples of pairs, RDNs of one part each
    subject = dict(part for name in names for part in name)
    return str(subject.get("commonName", "")), certificate
