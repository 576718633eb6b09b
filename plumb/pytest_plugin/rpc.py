"""The wire between pytest and a lab's host.

Requests and answers on a stream socket, with descriptors beside them.

A descriptor sent so (SCM_RIGHTS, unix(7)) is the very file, socket or process that the other side
has open, wherever the two are: a socket made in a container's namespace stays in it for whoever
uses it. Both ends are plumb's own, so that values may travel as pickles.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.plan import StepFailed

LENGTH = struct.Struct("=I")
MOST = 16
"""Descriptors in one message."""


@frozen
class Raised:
    """An error on the way back.

    Plumb's own as it was, any other by its words and where it came from.
    """

    kind: type[PlumbError] | None
    message: str
    hint: str = ""

    def error(self) -> Exception:
        """The error again."""
        if self.kind is None:
            return RuntimeError(f"a lab's host failed:\n{self.message}")
        made = self.kind.__new__(self.kind)
        PlumbError.__init__(made, self.message, self.hint)
        return made


@frozen
class Handed:
    """An answer with descriptors, which are closed here once they are on their way."""

    value: Any
    descriptors: list[int]


def raised(error: BaseException) -> Raised:
    """An error as it can travel; a failed step as what it failed of."""
    if isinstance(error, StepFailed):
        return Raised(type(error.cause), str(error), error.hint)
    if isinstance(error, PlumbError):
        return Raised(type(error), str(error), error.hint)
    import traceback

    return Raised(None, "".join(traceback.format_exception(error)))


def send(to: socket.socket, value: Any, descriptors: Sequence[int] = ()) -> None:
    """Send a value.

    Raises:
        OSError: nobody is there any more.
    """
    data = pickle.dumps(value)
    socket.send_fds(to, [LENGTH.pack(len(data))], list(descriptors))
    to.sendall(data)


def receive(at: socket.socket) -> tuple[Any, list[int]]:
    """Receive a message and its descriptors, which are closed when a program is executed.

    Raises:
        EOFError: the other side has gone.
    """
    head, descriptors, _, _ = socket.recv_fds(at, LENGTH.size, MOST)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    head += _exactly(at, LENGTH.size - len(head)) if head else b""
    if not head:
        raise EOFError
    return pickle.loads(_exactly(at, LENGTH.unpack(head)[0])), descriptors  # noqa: S301  # both ends are plumb's own


def _exactly(at: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        part = at.recv(min(size - len(found), 1 << 18))
        if not part:
            raise EOFError
        found += part
    return bytes(found)
