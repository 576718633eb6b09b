"""The agent's queue of announcements (`kernel.net.gratuitous_arp`) for new endpoints.

A command announces its endpoints for the first time before it returns, so that the neighbours know
them by then. One thread of the agent, for all sandboxes, sends the other announcements: a packet
socket is closed only when every CPU has let go of it, which takes a hundredth of a second, and the
agent's DNS answers shall not wait for that. The thread ends when the queue is empty.
"""

from __future__ import annotations

import heapq
import math
import socket
import threading
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from plumb.errors import KernelRefused
from plumb.kernel.net.gratuitous_arp import Target, say
from plumb.kernel.netns.namespaces import entered

TIMES, MILLISECONDS = 1000, 1_000_000
"""An announcement's limits; the command line has narrower ones."""
MOST = 100_000
"""Announcements in the queue at most.

plumb does not announce further endpoints; ARP and neighbour discovery find them all the same.
"""


class Announcer:
    """Announces endpoints, each as often and at such intervals as its target has.

    Args:
        most: announcements in the queue at most.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._turns: list[tuple[float, int, Target]] = []
        self._used: list[socket.socket] = []
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def announce(self, targets: list[Target], used: Sequence[socket.socket | None] = ()) -> None:
        """Put endpoints into the queue.

        Args:
            targets: the endpoints.
            used: the sockets of their first announcements, where these were sent already; None for
            an endpoint that is gone.
        """
        with self._change:
            self._used += [wire for wire in used if wire is not None]
            for target, wire in list(zip(targets, used or [None] * len(targets), strict=True))[
                : max(0, self._most - len(self._turns))
            ]:
                self._later(target, target.times, wire)
            if self._thread is None and (self._turns or self._used):
                self._thread = threading.Thread(target=self._run, name="announcements", daemon=True)
                self._thread.start()
            self._change.notify()

    def _later(self, target: Target, left: int, wire: socket.socket | None) -> None:
        """Queue a target's next announcement: the first at once, none after the last."""
        if wire is None and left == target.times:
            heapq.heappush(self._turns, (time.monotonic(), left, target))
        elif wire is not None and left > 1:
            heapq.heappush(
                self._turns, (time.monotonic() + target.interval / 1000, left - 1, target)
            )

    def _run(self) -> None:
        try:
            while (turn := self._next()) is not None:
                left, target = turn
                wire = said(target)
                if wire is not None:
                    with self._change:
                        self._used.append(wire)
                        self._later(target, left, wire)
        finally:
            with self._change:
                if (
                    self._thread is threading.current_thread()
                ):  # an error has ended it: the next announcement starts another
                    self._thread = None

    def _next(self) -> tuple[int, Target] | None:
        """Wait for the next announcement that is due, and close used sockets meanwhile.

        None, which ends the thread, where neither is left.
        """
        while True:
            with self._change:
                if not self._turns and not self._used:
                    self._thread = None
                    return None
                due, left, target = self._turns[0] if self._turns else (math.inf, 0, None)
                if target is not None and due <= time.monotonic():
                    heapq.heappop(self._turns)
                    return left, target
                if not self._used:
                    self._change.wait(due - time.monotonic())
                    continue
                wire = self._used.pop()
            wire.close()


def said(target: Target) -> socket.socket | None:
    """Announce once; returns the open socket, None where the endpoint is gone.

    The thread leaves the sandbox's namespace at once, as it would keep the namespace in being.
    """
    try:
        with entered(target.ns):
            return say(target)
    except (KernelRefused, OSError):  # it is gone, or no descriptor is left
        return None


def target(ns: Any, dev: Any, mac: Any, ips: Any, times: Any, interval: Any) -> Target:
    """Parse a target from a request's fields.

    Raises:
        ValueError: a field is malformed, or out of its range.
    """
    if not all(isinstance(text, str) for text in (ns, dev, mac, *ips)) or len(
        bytes.fromhex(mac.replace(":", ""))
    ) not in (0, 6):
        raise ValueError(f"{ns} {dev} {mac} {ips}")
    for ip in ips:
        ip_address(ip)
    if not 0 < int(times) <= TIMES or not 0 <= int(interval) <= MILLISECONDS:
        raise ValueError(f"{times} times, {interval} ms")
    return Target(ns, dev, mac, tuple(ips), int(times), int(interval))
