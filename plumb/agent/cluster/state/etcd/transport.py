"""Connections to etcd's client port: a Unix socket of this host, or TLS to an existing cluster."""

from __future__ import annotations

import select
import socket
import ssl
from functools import cached_property
from http.client import HTTPConnection, HTTPSConnection
from threading import Lock
from typing import Protocol
from urllib.parse import urlsplit

from plumb.errors import Invalid
from plumb.frozen import frozen

KEEPALIVE = 10
"""Seconds of silence on a TCP connection before it is tried whether the other side is there."""


class Address(Protocol):
    """Place where an etcd waits for clients."""

    def connect(self, timeout: float) -> HTTPConnection:
        """Connect to it.

        Args:
            timeout: seconds for connecting, and for each answer.

        Raises:
            OSError: nobody is there.
        """


class _Local(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


@frozen
class UnixSocket:
    """The Unix socket of an etcd on this host, in a folder that is root's alone."""

    path: str

    def connect(self, timeout: float) -> HTTPConnection:
        """Connect to it."""
        made = _Local(self.path, timeout)
        made.connect()
        return made

    def __str__(self) -> str:
        return self.path


@frozen
class TlsUrls:
    """Members of an existing cluster, of which the first that is there is asked.

    Attributes:
        urls: each "https://HOST:PORT".
        ca, certificate, key: PEM files: the authority that signed the servers' certificates, and
            the client's own.
    """

    urls: tuple[str, ...]
    ca: str
    certificate: str
    key: str

    def __post_init__(self) -> None:
        for url in self.urls:
            if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
                raise Invalid(f"invalid store {url!r}", "it is written like https://192.0.2.1:2379")

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def connect(self, timeout: float) -> HTTPConnection:
        """Connect to the first that is there."""
        refused: OSError = ConnectionRefusedError()
        for url in self.urls:
            parts = urlsplit(url)
            made = HTTPSConnection(
                parts.hostname or "", parts.port or 2379, timeout=timeout, context=self._context
            )
            try:
                made.connect()
            except OSError as error:
                refused = error
                continue
            _watch_over(made.sock)
            return made
        raise refused

    def __str__(self) -> str:
        return ",".join(self.urls)


def _watch_over(sock: socket.socket) -> None:
    """Let the kernel find out that the other host is gone, for a stream that may be silent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Pool:
    """Connections that are kept open between requests; any thread may take one for a request."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address
        self._timeout = timeout
        self._idle: list[HTTPConnection] = []
        self._lock = Lock()

    def take(self) -> HTTPConnection:
        """Return a connection that is open, as far as this side can know.

        Raises:
            OSError: nobody is there.
        """
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                return self.address.connect(self._timeout)
            if _open(idle):
                return idle
            idle.close()

    def give_back(self, connection: HTTPConnection) -> None:
        """Keep a connection for the next request."""
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _open(connection: HTTPConnection) -> bool:
    """Check an idle connection: what can be read from one is its end."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
