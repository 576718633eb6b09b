"""Free ports in a sandbox, for the sockets of its embedded DNS server.

Docker lets the kernel choose, from the range that programs get their ports from when they connect.
plumb chooses from above it (ip_local_port_range ends at 60999): an agent that was killed gets the
very same ports again, and no program's outgoing connection has taken one meanwhile. Well-known
services have no port there either.
"""

from __future__ import annotations

import errno
import socket

from plumb.errors import KernelRefused
from plumb.kernel.netns.namespaces import entered, is_namespace
from plumb.things.dns import ADDRESS

IP_FREEBIND = 15
FIRST, LAST = 61000, 65535
TRIES = 1000


def ports(ns: str, wanted: tuple[int, int] = (0, 0), last: int = LAST) -> tuple[int, int]:
    """Find a UDP and a TCP port that can be bound at 127.0.0.11 in a namespace.

    Args:
        ns: path of the netns; if it does not exist yet, all ports are free.
        wanted: ports to prefer if they are free; 0: any.
        last: the highest port to choose.
    """
    if not is_namespace(ns):
        return _any(wanted[0], last), _any(wanted[1], last)
    with entered(ns):
        return (
            _free(socket.SOCK_DGRAM, wanted[0], last),
            _free(socket.SOCK_STREAM, wanted[1], last),
        )


def _any(wanted: int, last: int) -> int:
    return wanted or _some(last)


def _some(last: int) -> int:
    import random  # 2 ms that only a probe or an agent pays

    return random.randint(FIRST, last)


def _free(kind: socket.SocketKind, wanted: int, last: int) -> int:
    for number in (_any(wanted, last), *(_some(last) for _ in range(TRIES))):
        with socket.socket(socket.AF_INET, kind) as trial:
            trial.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            try:
                if kind == socket.SOCK_STREAM:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((str(ADDRESS), number))
                if kind == socket.SOCK_STREAM:
                    trial.listen()
            except OSError:
                continue
            return number
    raise KernelRefused(
        "open a port for the embedded DNS server",
        errno.EADDRINUSE,
        hint="programs of the container have those beyond 61000",
    )
