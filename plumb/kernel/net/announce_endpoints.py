"""Announce new endpoints.

By the agent if there is one, else the first time at once and then in the background.

`gratuitous_arp.py` says what and why.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

from plumb.errors import KernelRefused
from plumb.kernel import agent_client
from plumb.kernel.net import gratuitous_arp as wire
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Endpoint, Network
from plumb.model.paths import Layout

FEW = 64
"""More endpoints than these at a time are announced once each, and in the background.

An announcement goes to every port of
the bridge, so that the work grows with the square of their number, and nobody can have known them
before."""


def announce(fresh: Iterable[tuple[Endpoint, Network]], layout: Layout, stays: bool) -> None:
    """Announce endpoints, as their networks' options say. It is never fatal that this fails.

    Args:
        stays: this process stays (a program that uses the library), so that a thread of it can do
        it.
    """
    targets = [
        wire.Target(
            layout.namespace(end.sandbox),
            end.ifname,
            end.mac,
            tuple(str(ip.ip) for ip in end.ips),
            net.advertise_count,
            net.advertise_interval,
        )
        for end, net in fresh
        if net.advertise_count and end.ips and not net.layer3
    ]
    if len(targets) > FEW:
        targets = [target._replace(times=1) for target in targets]
    if not targets or agent_client.announce(
        layout.run, targets, at_once=not stays and len(targets) <= FEW
    ):
        return
    if stays:
        threading.Thread(target=wire.see_through, args=(targets, 0), daemon=True).start()
    else:
        _leave(targets)


def _leave(targets: list[wire.Target]) -> None:
    """The first now, as the command is about to end; the others behind it."""
    sockets: list[socket.socket] = []
    few = len(targets) <= FEW
    for target in targets if few else ():
        with suppress(KernelRefused), entered(target.ns):
            used = wire.say(target)
            if used is not None:
                sockets.append(used)
    wire.leave(targets, int(few), sockets)
