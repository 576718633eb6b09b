"""A manager's TCP port 2377: JSON over HTTP/1.1 over TLS, a thread for each connection.

Nodes keep few connections open and long, so a thread for each is what is easily understood.
Whoever shows no certificate gets one request and few seconds, in connections counted apart, so
that strangers cannot take the nodes' places.

    GET /v1/ca            the authorities' certificates, for everybody
    POST /v1/NAME         a request of `api`, body and answer JSON
    POST /v1/watch        answered by lines of JSON, until one of the two ends it
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from plumb.agent.cluster.certificates import tls
from plumb.errors import Invalid, KernelRefused, NotFound, PlumbError, Unsupported
from plumb.kernel.cluster import failures

MAX_BODY = 1 << 20
"""Bytes of a request's body, at most."""
MAX_CONNECTIONS, MAX_STRANGERS = 1024, 64
"""Connections at a time: all, and those that have not shown a certificate (yet)."""
STRANGER, STEP, IDLE = 10.0, 10.0, 120.0
"""Seconds: for all that a stranger does, for one read or write, between two requests."""
STACK = 256 << 10
"""Bytes of a thread's stack."""
BACKLOG = 128
STATUS: tuple[tuple[type[PlumbError], int], ...] = (
    (Invalid, 400),
    (Unsupported, 403),
    (NotFound, 404),
    (KernelRefused, 503),
    (PlumbError, 409),
)
"""HTTP's status for a kind of error; the body says it in full."""

Shown = tuple[str, bytes] | None
"""What a client's certificate says: the node's id, and the certificate itself."""


class Api(Protocol):
    """Requests, as `api.Api` answers them."""

    def authorities(self) -> list[str]:
        """Return the certificates of trusted authorities, the present one first."""

    def answer(self, name: str, shown: Shown, body: dict[str, Any]) -> Any:
        """Carry out a request."""

    def watch(self, shown: Shown, body: dict[str, Any]) -> Generator[Any, None, None]:
        """Yield what changes for a node, None at times to see whether it is still there."""


class Listener:
    """Server of a manager's port.

    Args:
        address, port: where to listen; the address "" is all of this host's.
        context: TLS's; it may be replaced at any time, for connections to come.
        api: answers the requests.
        complain: takes lines for the log.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        address: str,
        port: int,
        context: ssl.SSLContext,
        api: Api,
        complain: Callable[[str], None],
    ) -> None:
        self.context, self.api, self.complain = context, api, complain
        self._lock, self._ending = threading.Lock(), False
        self._open: set[socket.socket] = set()
        self._strangers: dict[socket.socket, float] = {}
        self._socket = _listen(address, port)
        threading.stack_size(STACK)
        self._thread = threading.Thread(target=self._serve, name="listener", daemon=True)

    def start(self) -> None:
        """Serve, in threads."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._ending = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                _shut(connection)
        if self._thread.is_alive():
            self._thread.join(STEP)

    def _serve(self) -> None:
        pause = threading.Event()
        while not self._ending:
            try:
                connection, peer = self._socket.accept()
            except TimeoutError:
                self._end_overdue()
                continue
            except OSError:
                pause.wait(0.1)  # no descriptor left, or closed
                continue
            self._end_overdue()
            if not self._admit(connection):
                connection.close()
                continue
            try:
                threading.Thread(target=self._attend, args=(connection, peer), daemon=True).start()
            except RuntimeError:  # no thread left
                self._forget(connection)

    def _admit(self, connection: socket.socket) -> bool:
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS or len(self._strangers) >= MAX_STRANGERS:
                return False
            self._open.add(connection)
            self._strangers[connection] = time.monotonic() + STRANGER
            return True

    def _end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            for connection, due in self._strangers.items():
                if due < now:
                    _shut(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
            self._strangers.pop(connection, None)
        connection.close()

    def _attend(self, raw: socket.socket, peer: Any) -> None:
        """Serve a connection, in its own thread."""
        secured: ssl.SSLSocket | None = None
        try:
            raw.settimeout(STEP)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls.keep_alive(raw)
            secured = self.context.wrap_socket(
                raw.dup(), server_side=True, do_handshake_on_connect=False
            )
            secured.settimeout(STEP)
            secured.do_handshake()
            shown = tls.caller(secured)
            if shown is not None:
                with self._lock:
                    self._strangers.pop(raw, None)
            _Requests(secured, peer, self, shown)
        except OSError:  # no TLS, no certificate of ours, gone
            pass
        except Exception as error:
            self.complain(f"a connection of {peer[0]} failed: {error!r}")
        finally:
            if secured is not None:
                secured.close()
            _shut(raw)
            self._forget(raw)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _listen(address: str, port: int) -> socket.socket:
    """Open the listener; one for all addresses takes IPv4 and IPv6, as Docker's does."""
    family = socket.AF_INET6 if ":" in address or not address else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # this kernel has no IPv6
        listener, address = socket.socket(socket.AF_INET, socket.SOCK_STREAM), address or "0.0.0.0"
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address not in ("", "::"))
            )
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.settimeout(1.0)
    except OSError:
        listener.close()
        raise
    return listener


class _Requests(BaseHTTPRequestHandler):
    """The requests of one connection, in turn."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "plumb", ""
    timeout = IDLE
    wbufsize = 1 << 12  # most answers in one write; each connection has the buffer while it lasts

    def __init__(
        self, connection: ssl.SSLSocket, peer: Any, server: Listener, shown: Shown
    ) -> None:
        self._listener, self._shown = server, shown
        super().__init__(connection, peer, server)  # type: ignore[arg-type]  # it only keeps it

    def do_GET(self) -> None:
        if self.path == "/v1/ca":
            self._reply(200, {"answer": self._listener.api.authorities()})
        else:
            self._reply(404, failures.encoded(NotFound(f"no such page: {self.path[:80]}")))

    def do_POST(self) -> None:
        name = self.path.removeprefix("/v1/")
        try:
            body = self._body()
            if name == "watch":
                self._stream(body)
                return
            answer = self._listener.api.answer(name, self._shown, body)
        except PlumbError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            self._reply(status, failures.encoded(error))
        except (KeyError, TypeError, ValueError) as error:
            self._reply(400, failures.encoded(Invalid(f"not understood: {error!r}")))
        else:
            self._reply(200, {"answer": answer})

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Invalid(f"a request has at most {MAX_BODY} bytes, and says how many")
        self.connection.settimeout(STEP)
        body = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(body, dict):
            raise Invalid("a request is an object")
        return body

    def _reply(self, status: int, answer: object) -> None:
        text = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if self._shown is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()
        self.connection.settimeout(IDLE)

    def _stream(self, body: dict[str, Any]) -> None:
        with closing(self._listener.api.watch(self._shown, body)) as changes:
            first = next(changes)
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            self._line(first)
            try:
                for change in changes:
                    self._line(change)
            except PlumbError as error:  # as of a node that was removed meanwhile
                self._line(failures.encoded(error))

    def _line(self, change: object) -> None:
        text = b"" if change is None else json.dumps(change, separators=(",", ":")).encode()
        self.wfile.write(text + b"\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: requests carry secrets, and who asks is not what a log is for."""
