"""What the DNS servers of all sandboxes have in common.

The zone, the loop, and limits, for an agent is one process.

A container may ask as much and as badly as it likes, and must not be able to take from the others
more than its turn. So nothing grows without a bound: each kind of thing has one for each sandbox,
and one for all of them together. Whoever comes when the common one is reached is refused, but for
those who have next to nothing yet.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from plumb.agent.dns.zone import Zone
from plumb.agent.loop import Loop, Timer

NOTES = 100
"""Errors of plumb's own that are written down.

A packet that brings one about may come a million times.
"""


class Limits(NamedTuple):
    """How much there may be of what, and for how long.

    Those of forwarding are Docker's; its library has those of TCP's seconds.

    Attributes:
        patience: seconds for a server elsewhere to answer, and for a place in the queue to come
        free.
        slots: questions of one sandbox that are with servers elsewhere; waiting: that wait to be.
        forwards: of all sandboxes, with servers or waiting, and `granted` of each however many the
        others have.
        idle: seconds without a question after which a TCP client is hung up on.
        clients: TCP clients of one sandbox; everyone: of all.
        pipelined: questions of one TCP client that are with servers elsewhere.
        held: bytes that are kept of all sandboxes: what was asked elsewhere, what has come by TCP
            in part or is not read yet; of one, a sixteenth; `due` of each however many the others
            have.
        remembered: bytes of prepared answers of all sandboxes; of one, a sixteenth.
    """

    patience: float = 4.0
    slots: int = 1024
    waiting: int = 1024
    forwards: int = 16384
    granted: int = 16
    idle: float = 8.0
    clients: int = 64
    everyone: int = 1024
    pipelined: int = 16
    held: int = 16 << 20
    due: int = 16 << 10
    remembered: int = 8 << 20


class Door(Protocol):
    """Opens sockets that do not block (`kernel.netns.sockets`); "" is the agent's own namespace."""

    def listen(self, ns: str, ip: str, udp: int, tcp: int) -> tuple[socket.socket, socket.socket]:
        """The two sockets of a server."""

    def dial(self, ns: str, kind: int, ip: str, port: int) -> socket.socket:
        """A socket that has begun to connect."""


class Due(Protocol):
    """What may be late."""

    def expire(self) -> None:
        """Its time is over."""


class Deadlines:
    """Things that all have the same time.

    The one that came first is the first to be late, so one timer will do for all.

    Args:
        seconds: how long each has.
    """

    def __init__(self, loop: Loop, seconds: float) -> None:
        self._loop, self._seconds = loop, seconds
        self._due: OrderedDict[Due, float] = OrderedDict()
        self._timer: Timer | None = None

    def add(self, thing: Due) -> None:
        """Its time begins now; anew if it had begun."""
        self._due[thing] = time.monotonic() + self._seconds
        self._due.move_to_end(thing)
        if self._timer is None:
            self._timer = self._loop.later(self._seconds, self._look)

    def discard(self, thing: Due) -> None:
        """It was in time."""
        self._due.pop(thing, None)

    def _look(self) -> None:
        now = time.monotonic()
        try:
            while self._due and next(iter(self._due.values())) <= now:
                self._due.popitem(last=False)[0].expire()
        finally:  # whatever becomes of one, the others' turn comes
            self._timer = None
            if self._due:
                self._timer = self._loop.later(
                    max(0.0, next(iter(self._due.values())) - now), self._look
                )


class ServerContext:
    """What the servers of an agent share.

    Args:
        door: opens sockets.
        log: is told of errors of plumb's own.

    Attributes:
        forwards, clients: how many there are of all sandboxes, see Limits.
        held: bytes that are kept of all, see Share.
        patience, idleness: who waits for an answer or a slot, and which TCP clients are silent.
    """

    def __init__(
        self, loop: Loop, door: Door, log: Callable[[Exception], None], limits: Limits | None = None
    ) -> None:
        self.loop, self.door, self.limits, self.zone = loop, door, limits or Limits(), Zone()
        self.forwards = self.clients = 0
        self.patience = Deadlines(loop, self.limits.patience)
        self.idleness = Deadlines(loop, self.limits.idle)
        self.held = 0
        self._log, self._notes = log, NOTES

    def note(self, failure: Exception) -> None:
        """An error of plumb's own, which must end no more than what it concerns."""
        if self._notes:
            self._notes -= 1
            self._log(failure)


class ByteQuota:
    """What one sandbox may keep of the bytes that all together may."""

    def __init__(self, commons: ServerContext) -> None:
        self._commons = commons
        self._mine = 0

    def hold(self, size: int) -> bool:
        """Keep so many bytes more, unless that is too much."""
        limits, mine = self._commons.limits, self._mine + size
        if mine > limits.due and (
            mine > limits.held // 16 or self._commons.held + size > limits.held
        ):
            return False
        self._mine = mine
        self._commons.held += size
        return True

    def let_go(self, size: int) -> None:
        """Keep so many bytes less."""
        self._mine -= size
        self._commons.held -= size
