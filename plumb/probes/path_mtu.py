"""Path MTU: the longest packet that gets through in one piece.

A packet that may not be fragmented (IPv4's DF; IPv6 knows nothing else) and is longer than the next
link takes, is dropped, and whoever drops it should say so, with the length that would have passed
(RFC 1191, RFC 8201). Where that message is filtered, or where a bridge drops it, which says
nothing, there is a black hole: short packets pass, long ones vanish, connections stand and then
hang.

So: ask with the longest packet that leaves here, go by what routers say, and halve the rest where
nobody says anything. Where the hole is, is shown by long packets with a TTL of 1, 2, 3…: each
router that gets one sends it back as expired.
"""

from __future__ import annotations

import errno
import secrets
import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass

from plumb.address import IPAddress
from plumb.kernel.net.probe_socket import HEADERS, IP_PMTUDISC_PROBE, MTU_DISCOVER, TTL
from plumb.probes.traffic.responders import MARK, NUMBER, IcmpListener, numbered_echo
from plumb.probes.traffic.socket_errors import Told, told

LEAST, MOST = {4: 68, 6: 1280}, 65535
FURTHEST = 30
TRIES = 2


@dataclass(frozen=True)
class PathMtu:
    """What was found.

    Attributes:
        mtu: the length of the longest packet that was answered, IP header and all; 0: none was.
        link: the longest that leaves the asker.
        by: who says that longer ones do not pass; None: nobody needs to, or nobody does.
        hole: longer ones vanish, and nobody says so.
        behind: the last router that still gets them.
    """

    mtu: int
    link: int
    by: IPAddress | None = None
    hole: bool = False
    behind: IPAddress | None = None


class Prober:
    """Pings of a given length to an address.

    Args:
        place: from which namespace.
        seconds: how long to wait for an answer.
    """

    def __init__(self, place: str, address: IPAddress, seconds: float) -> None:
        self._address, self._seconds, self._number = address, seconds, secrets.randbits(56)
        self._version = address.version
        self._ear = IcmpListener(place, self._version)
        self._ear.socket.setsockopt(*MTU_DISCOVER[self._version], IP_PMTUDISC_PROBE)

    def close(self) -> None:
        """Let go of the socket."""
        self._ear.socket.close()

    def send(self, length: int, ttl: int = 64) -> bool | Told | None:
        """Ask with a packet of that length: whether it was answered, or what was said of it.

        None: nothing.
        """
        self._ear.socket.setsockopt(*TTL[self._version], ttl)
        for _ in range(TRIES):
            self._number += 1
            filling = length - HEADERS[self._version] - len(MARK) - NUMBER.size
            with suppress(OSError):  # it is told in the queue of errors
                self._ear.socket.sendto(
                    numbered_echo(self._version, self._number, 1, filling), (str(self._address), 0)
                )
            answer = self._wait(time.monotonic() + self._seconds)
            if answer is not None:
                return answer
        return None

    def _wait(self, deadline: float) -> bool | Told | None:
        waiting = select.poll()
        waiting.register(self._ear.socket, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            waiting.poll(left * 1000)
            if any(heard.reply and heard.number == self._number for heard in self._ear.hear()):
                return True
            if (error := self._error()) is not None:
                return error
        return None

    def _error(self) -> Told | None:
        try:
            data, ancillary, *_ = self._ear.socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        self._ear.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        error = told(ancillary)
        local = error is not None and error.by is None
        mine = data[8 : 8 + len(MARK)] == MARK and data[8 + len(MARK) :][
            : NUMBER.size
        ] == struct.pack("!Q", self._number)
        return error if local or mine else None


def path_mtu(place: str, address: IPAddress, seconds: float = 0.5) -> PathMtu:
    """The longest packet that gets from a namespace to an address and is answered.

    Args:
        place: the namespace's file, "" for the host's own.
        seconds: how long to wait for each answer.
    """
    prober = Prober(place, address, seconds)
    try:
        return _search(prober, LEAST[address.version])
    finally:
        prober.close()


def _search(prober: Prober, least: int) -> PathMtu:
    found = prober.send(MOST)
    link = found.mtu if isinstance(found, Told) and found.by is None and found.mtu else MOST
    if prober.send(least) is not True:
        return PathMtu(0, link)
    low, high, by = least, link, None
    while True:
        found = prober.send(high)
        if found is True:
            return PathMtu(high, link, by)
        if (
            not isinstance(found, Told)
            or found.errno != errno.EMSGSIZE
            or not least <= found.mtu < high
        ):
            break
        high, by = found.mtu, found.by
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if prober.send(middle) is True else (low, middle)
    return PathMtu(low, link, by, hole=True, behind=_last(prober, high))


def _last(prober: Prober, length: int) -> IPAddress | None:
    """The last router that a packet of that length comes to."""
    last = None
    for ttl in range(1, FURTHEST):
        found = prober.send(length, ttl)
        if not isinstance(found, Told) or not found.expired:
            break
        last = found.by
    return last
