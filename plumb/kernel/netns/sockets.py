"""Sockets in a sandbox's netns, opened by the agent, which is not in it.

A socket belongs for good to the netns in which it was created (socket(2), network_namespaces(7)).
So the agent's only thread enters the netns (setns(2)), creates the socket, and returns; to serve it
later it need not enter again. To connect it has to: a link-local address names its link by index,
and indexes belong to a netns.

Little is imported, as the agent imports this.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.kernel.netns import setns

IP_PKTINFO, IP_FREEBIND, SO_RCVBUFFORCE = 8, 15, 33
RECEIVED = 1 << 20
"""Bytes of the receive buffer.

The kernel counts some 800 for a short query, and a burst must not be lost.
"""
BACKLOG = 128
FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Pinned(socket.socket):
    """UDP socket that sends from one address, whatever it is bound to.

    If a socket is bound to an address while no link has any, the kernel takes it for a broadcast
    address and sends from another: until a link is up in a netns, its local routing table does not
    exist. So each packet sets its source address (IP_PKTINFO, ip(7)).
    """

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:  # type: ignore[override]  # of the two forms, the one without flags
        """Send a packet."""
        return self.sendmsg((data,), self._ancillary, 0, address)

    def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # IPv4 alone
        """Bind, and send from that address."""
        super().bind(address)
        # struct in_pktinfo: a link's number, the address to send from, one that counts only in what
        # was received.
        self._ancillary = (
            (socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + socket.inet_aton(address[0]) + bytes(4)),
        )


@contextmanager
def inside(ns: str) -> Iterator[None]:
    """Move the calling thread into the netns of that file for the length of a with block.

    "" leaves it where it is.

    Raises:
        OSError: ENOENT, there is no such file; EINVAL, it is not a network namespace.
    """
    if not ns:
        yield
        return
    home = setns.switch(ns)
    try:
        yield
    finally:
        setns.switch_back(home)


def listen(ns: str, ip: str, udp: int, tcp: int) -> tuple[socket.socket, socket.socket]:
    """Open the two non-blocking sockets of a server in a netns.

    Args:
        ip: an IPv4 address. Its link may be down yet: IP_FREEBIND binds an address that no link has
            (ip(7)).

    Raises:
        OSError: EADDRINUSE, a program in there has one of the ports; ENOENT, EINVAL as `inside`.
    """
    with inside(ns):
        datagrams = Pinned(socket.AF_INET, socket.SOCK_DGRAM | FLAGS)
        try:
            streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM | FLAGS)
        except OSError:
            datagrams.close()
            raise
    try:
        with suppress(OSError):  # without CAP_NET_ADMIN there it stays at net.core.rmem_default
            datagrams.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVED)
        # Connections that linger in TIME_WAIT after an agent that was killed do no harm.
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock, port in ((datagrams, udp), (streams, tcp)):
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            sock.bind((ip, port))
        streams.listen(BACKLOG)
    except OSError:
        datagrams.close()
        streams.close()
        raise
    return datagrams, streams


def dial(ns: str, kind: int, ip: str, port: int) -> socket.socket:
    """Open a non-blocking socket in a netns that is connected, or (TCP) connecting.

    Args:
        ns: path of the netns, "" for the agent's own.
        kind: SOCK_DGRAM or SOCK_STREAM; ip: an address, of either family.

    Raises:
        OSError: there is no route.
    """
    with inside(ns):
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind | FLAGS)
        try:
            with suppress(BlockingIOError):  # EINPROGRESS
                sock.connect((ip, port))
        except OSError:
            sock.close()
            raise
    return sock
