"""Sender of lines to a log server, which never holds up the command that prints them.

Lines wait in a bounded queue; what does not fit is dropped. A connection that fails is made again
and again, with pauses that grow, and the line that could not be sent is sent then.

The standard library only: the shim imports it.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import select
import socket
from _queue import SimpleQueue

TYPE_CHECKING = False  # as typing's, which takes 3 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TIMEOUT = 10.0
"""Seconds for making a connection, and for a server to take a line."""
PAUSES = (0.1, 10.0)
"""Seconds before the second attempt to connect, and at most; each pause is twice the last."""
CLOSING = 1.0
"""Seconds that a server has at the command's end to take what waits."""
LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")
"""Sockets of the host's own syslog server."""


class LogServer:
    """Queue of messages and a thread that sends them.

    Args:
        address: as of `log_drivers.server`.
        encode: makes a message of a stream, a line and its time.
        room: bytes that wait at most.
    """

    def __init__(
        self, address: dict[str, str], encode: Callable[[str, bytes, int], bytes], room: int
    ) -> None:
        self._address, self._encode, self._room = address, encode, room
        self._messages: SimpleQueue[bytes] = SimpleQueue()
        self._taken = self._sent = 0  # bytes; one is written by each thread
        self._socket: socket.socket | None = None
        self._closing = _thread.allocate_lock()
        self._closing.acquire()
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        _thread.start_new_thread(self._send_all, ())

    def keep(self, stream: str, lines: list[bytes], now: int) -> None:
        """Queue lines as messages, those that there is room for."""
        for line in lines:
            message = self._encode(stream, line, now)
            waiting = self._taken - self._sent
            if not waiting or waiting + len(message) <= self._room:
                self._taken += len(message)
                self._messages.put(message)

    def close(self) -> None:
        """Wait for the messages to be sent, but not for a server that is not there."""
        self._closing.release()
        self._messages.put(b"")
        self._ended.acquire(timeout=CLOSING)

    def _send_all(self) -> None:
        try:
            while (message := self._messages.get()) and self._deliver(message):
                self._sent += len(message)
        finally:
            self._disconnect()
            self._ended.release()

    def _deliver(self, message: bytes) -> bool:
        """Send a message once there is a connection; False if the log is closed before."""
        pause = PAUSES[0]
        while True:
            try:
                self._connected().sendall(message)
                return True
            except (OSError, UnicodeError) as error:  # the latter: no such name can be
                if getattr(error, "errno", 0) == errno.EMSGSIZE:
                    return True  # no datagram is as long as this line
                self._disconnect()
            if self._closing.acquire(timeout=pause):
                return False
            pause = min(2 * pause, PAUSES[1])

    def _connected(self) -> socket.socket:
        if self._socket is not None and _is_gone(self._socket):
            self._disconnect()
        if self._socket is None:
            self._socket = connect(self._address)
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _is_gone(connection: socket.socket) -> bool:
    """Tell whether a server has closed its end, which a first send would not tell."""
    if connection.type != socket.SOCK_STREAM:
        return False
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0)) and not connection.recv(1 << 16)


def connect(address: dict[str, str]) -> socket.socket:
    """Connect to a log server.

    Args:
        address: as of `log_drivers.server`.

    Raises:
        OSError: it is not there, or its name has no address.
    """
    match address["kind"]:
        case "":
            return _local()
        case "unix":
            return _opened(socket.AF_UNIX, socket.SOCK_STREAM, address["path"])
        case "unixgram":
            return _opened(socket.AF_UNIX, socket.SOCK_DGRAM, address["path"])
        case kind:
            form = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
            return _reached(address["host"], int(address["port"]), form)


def _reached(host: str, port: int, form: int) -> socket.socket:
    """Connect to the first address of a host that answers."""
    refused: OSError | None = None
    for family, _, _, _, place in socket.getaddrinfo(host, port, type=form):
        try:
            return _opened(family, form, place)
        except OSError as error:
            refused = error
    raise refused or OSError(errno.ENOENT, f"{host} has no address")


def _local() -> socket.socket:
    for path in LOCAL:
        for form in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with contextlib.suppress(OSError):
                return _opened(socket.AF_UNIX, form, path)
    raise OSError(errno.ENOENT, "no syslog server on this host")


def _opened(family: int, form: int, place: Any) -> socket.socket:
    made = socket.socket(family, form | socket.SOCK_CLOEXEC)
    try:
        made.settimeout(TIMEOUT)
        made.connect(place)
    except OSError:
        made.close()
        raise
    return made
