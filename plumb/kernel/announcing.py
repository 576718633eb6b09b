"""Announce new endpoints: the first time at once, then by a process of its own (`announce.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from plumb.cnm import Endpoint, Network
from plumb.errors import KernelRefused
from plumb.kernel import announce as wire
from plumb.kernel.namespaces import entered
from plumb.layout import Layout


def announce(fresh: Iterable[tuple[Endpoint, Network]], layout: Layout) -> None:
    """Announce endpoints, as their networks' options say. It is never fatal that this fails."""
    targets = []
    for end, net in fresh:
        if not net.bridge.advertise_count or not end.ips:
            continue
        target = wire.Target(layout.namespace(end.sandbox), end.ifname, end.mac, tuple(str(ip.ip) for ip in end.ips),
                             net.bridge.advertise_count, net.bridge.advertise_interval)
        with suppress(KernelRefused), entered(target.ns):
            if wire.say(target):
                targets.append(target)
    wire.later(targets)
