"""Path MTU: the length of the longest packet that reaches an address unfragmented.

A router drops a packet that is longer than the next link's MTU and may not be fragmented (IPv4 with
DF, and all of IPv6), and sends an ICMP error with that MTU (RFC 1191, RFC 8201). If a firewall
filters the error, or if a bridge drops the packet, which sends no errors, path MTU discovery fails
(RFC 2923): short packets pass, long ones are lost, and established connections hang.

plumb sends the longest packet that leaves here first, then packets of the lengths in the ICMP
errors, and searches by bisection where no error comes. Long packets with a TTL of 1, 2, 3… show
the place of the loss: each router that gets one returns an ICMP error, time exceeded.
"""

from __future__ import annotations

import errno
import secrets
import select
import socket
import struct
import time
from contextlib import suppress

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.kernel.net.probe_socket import HEADERS, IP_PMTUDISC_PROBE, MTU_DISCOVER, TTL
from plumb.probes.traffic.responders import MARK, NUMBER, IcmpListener, numbered_echo
from plumb.probes.traffic.socket_errors import ExtendedError, extended_error

LEAST, MOST = {4: 68, 6: 1280}, 65535
FURTHEST = 30
TRIES = 2


@frozen
class PathMtu:
    """Result of a path MTU search.

    Attributes:
        mtu: the length of the longest packet that was answered, with its IP header; 0: none was.
        link: the length of the longest packet that leaves the source.
        by: the router whose ICMP error gave the MTU; None: no error was needed, or none came.
        silent: longer packets are lost, and no ICMP error comes.
        last_router: the last router that still gets them; None: not even the first one does.
    """

    mtu: int
    link: int
    by: IPAddress | None = None
    silent: bool = False
    last_router: IPAddress | None = None


class Prober:
    """Pings of a given length to an address.

    Args:
        place: the file of the namespace that sends them.
        seconds: the time to wait for a reply.
    """

    def __init__(self, place: str, address: IPAddress, seconds: float) -> None:
        self._address, self._seconds, self._number = address, seconds, secrets.randbits(56)
        self._version = address.version
        self._listener = IcmpListener(place, self._version)
        self._listener.socket.setsockopt(*MTU_DISCOVER[self._version], IP_PMTUDISC_PROBE)

    def close(self) -> None:
        """Close the socket."""
        self._listener.socket.close()

    def send(self, length: int, ttl: int = 64) -> bool | ExtendedError | None:
        """Send a ping of that length in bytes, with its IP header.

        The result is True if a reply came, the error if one came, None without either.
        """
        self._listener.socket.setsockopt(*TTL[self._version], ttl)
        first = self._number + 1
        for _ in range(TRIES):
            self._number += 1
            filling = length - HEADERS[self._version] - len(MARK) - NUMBER.size
            with suppress(OSError):  # the socket's error queue has the error
                self._listener.socket.sendto(
                    numbered_echo(self._version, self._number, 1, filling), (str(self._address), 0)
                )
            reply = self._reply(first, time.monotonic() + self._seconds)
            if reply is not None:
                return reply
        return None

    def _reply(self, first: int, deadline: float) -> bool | ExtendedError | None:
        """Wait for a reply to this try or one before it, the first of which had that number.

        What has come is read at the end as well: this process may have had no turn until then.
        """
        poll = select.poll()
        poll.register(self._listener.socket, select.POLLIN)
        while True:
            left = max(0.0, deadline - time.monotonic())
            poll.poll(left * 1000)
            mine = range(first, self._number + 1)
            if any(ping.reply and ping.number in mine for ping in self._listener.receive()):
                return True
            if (error := self._error()) is not None:
                return error
            if not left:
                return None

    def _error(self) -> ExtendedError | None:
        try:
            data, ancillary, *_ = self._listener.socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        self._listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        error = extended_error(ancillary)
        local = error is not None and error.by is None
        mine = data[8 : 8 + len(MARK)] == MARK and data[8 + len(MARK) :][
            : NUMBER.size
        ] == struct.pack("!Q", self._number)
        return error if local or mine else None


def path_mtu(place: str, address: IPAddress, seconds: float = 0.5) -> PathMtu:
    """Find the longest packet from a namespace that an address answers.

    Args:
        place: the namespace's file, "" for the host's own.
        seconds: the time to wait for each reply.
    """
    prober = Prober(place, address, seconds)
    try:
        return _search(prober, LEAST[address.version])
    finally:
        prober.close()


def _search(prober: Prober, least: int) -> PathMtu:
    result = prober.send(MOST)
    link = (
        result.mtu
        if isinstance(result, ExtendedError) and result.by is None and result.mtu
        else MOST
    )
    if prober.send(least) is not True:
        return PathMtu(0, link)
    low, high, by = least, link, None
    while True:
        result = prober.send(high)
        if result is True:
            return PathMtu(high, link, by)
        if (
            not isinstance(result, ExtendedError)
            or result.errno != errno.EMSGSIZE
            or not least <= result.mtu < high
        ):
            break
        high, by = result.mtu, result.by
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if prober.send(middle) is True else (low, middle)
    return PathMtu(low, link, by, silent=True, last_router=_last_router(prober, high))


def _last_router(prober: Prober, length: int) -> IPAddress | None:
    """The last router that a packet of that length reaches."""
    last = None
    for ttl in range(1, FURTHEST):
        result = prober.send(length, ttl)
        if not isinstance(result, ExtendedError) or not result.expired:
            break
        last = result.by
    return last
