"""HTTP over a Unix socket: GET requests to an engine's API, each with a deadline.

plumb asks by HTTP/1.0 (RFC 1945): the daemon then sends the body as it is and closes the
connection, so that there is no chunked coding to undo. A daemon whose processes are in another
network namespace serves another host's containers: plumb asks it nothing.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from typing import Any

from plumb.errors import Broken, NotFound
from plumb.kernel.foreign import files_inside
from plumb.kernel.netns.setns import SELF

LONGEST = 64 << 20
"""Bytes of an answer at most; one container's document has some 6 KiB."""
PIECE = 1 << 18


def get(path: str, target: str, deadline: float) -> Any:
    """Ask for a document, and parse it.

    Args:
        path: the socket.
        target: the path and query of the URL, as "/containers/json".
        deadline: the time of `time.monotonic()` at which plumb gives up.

    Returns:
        The parsed JSON.

    Raises:
        Broken: there is no answer in time, or none that is JSON.
        NotFound: the API says that there is no such object.
    """
    asking = f"ask {path} for {target}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            _limit(connection, deadline)
            with files_inside.reached(path) as here:
                connection.connect(here)
            connection.sendall(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            head, _, body = _all(connection, deadline).partition(b"\r\n\r\n")
    except OSError as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        raise Broken(f"cannot {asking}: {reason}") from error
    return _document(head, body, asking)


def serves_this_host(path: str, deadline: float) -> bool:
    """Test for a daemon in the calling thread's network namespace.

    The kernel tells which process listens at the socket (SO_PEERCRED, unix(7)). Its pid is 0 if it
    is in a PID namespace that this process does not see.

    Raises:
        Broken: nobody listens at the socket.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            _limit(connection, deadline)
            with files_inside.reached(path) as here:
                connection.connect(here)
            credentials = connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
            )
    except OSError as error:
        raise Broken(f"cannot connect to {path}: {error.strerror or 'no answer'}") from error
    pid = struct.unpack("3i", credentials)[0]
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), os.stat(SELF))
    except OSError:
        return False


def _limit(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _all(connection: socket.socket, deadline: float) -> bytes:
    """Read until the daemon closes the connection."""
    pieces, size = [], 0
    while True:
        _limit(connection, deadline)
        piece = connection.recv(PIECE)
        pieces.append(piece)
        size += len(piece)
        if not piece or size > LONGEST:
            return b"".join(pieces)


def _document(head: bytes, body: bytes, asking: str) -> Any:
    status = head.split(b"\r\n", 1)[0].split()
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or len(body) > LONGEST:
        raise Broken(f"cannot {asking}: the answer is not HTTP's")
    if status[1] == b"404":
        raise NotFound(f"cannot {asking}: no such object")
    if status[1] != b"200":
        raise Broken(f"cannot {asking}: HTTP status {status[1].decode('ascii', 'replace')[:3]}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken(f"cannot {asking}: the answer is not JSON") from error
