"""Questions to the kernel over one netlink socket, which stays in the namespace where it was made.

codec.py opens a socket for one request; here one socket takes many, and nothing is changed by any
of them.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from plumb.kernel.netlink.codec import DONE, DUMP, ERROR, HEADER, REQUEST, SECONDS

LONGEST = 1 << 18


class Questions:
    """A netlink socket of the namespace that the calling thread is in when it is made.

    Args:
        family: NETLINK_ROUTE, NETLINK_SOCK_DIAG, …
    """

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family
        )
        self._socket.settimeout(SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def ask(self, kind: int, body: bytes) -> Iterator[bytes]:
        """A question that has one answer: what follows its header.

        Raises:
            OSError: the kernel said no.
        """
        yield from self._answers(kind, 0, body)

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """A question for all that there is.

        Raises:
            OSError: the kernel said no.
        """
        yield from self._answers(kind, DUMP, body)

    def _answers(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(
            HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, self._sequence, 0) + body
        )
        while True:
            data, at = self._socket.recv(LONGEST), 0
            while at + HEADER.size <= len(data):
                length, answer, _, sequence, _ = HEADER.unpack_from(data, at)
                payload = data[at + HEADER.size : at + length]
                at += (length + 3) & ~3
                if sequence != self._sequence:
                    continue
                if answer == ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, os.strerror(number))
                if answer == DONE:
                    return
                yield payload
                if not flags:
                    return
