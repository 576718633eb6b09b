"""Overlay networks of Docker's swarm: where each has its bridge and its VXLAN links on this node.

dockerd keeps a namespace for each network that a container of this node is on, and another one for
the network's balancer (IPVS, by which the virtual addresses of services are reached). Their files
are called after the network's id: 1-x3w1b5k0qr, lb_x3w1b5k0q.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from plumb.errors import PlumbError
from plumb.frozen import replace
from plumb.kernel.diagnosis import machine, tunnels
from plumb.model.cnm import Network

DIGITS, OF_BALANCER = 10, 9
"""Letters of a network's id in the names of the two files."""


def located(networks: Iterable[Network]) -> Iterator[Network]:
    """Yield networks, overlays of Docker's with their namespace's file and their tunnels' UDP port.

    One that this node has no namespace of is as it was.
    """
    folders: list[str] | None = None
    for net in networks:
        if net.multi_host and not net.overlay.netns:
            if folders is None:
                folders = tunnels.folders(machine.managers())
            known = (f"{folder}/1-{net.id[:DIGITS]}" for folder in folders)
            file = next((each for each in known if tunnels.is_namespace(each)), "")
            yield _at(net, file) if file else net
        else:
            yield net


def _at(net: Network, file: str) -> Network:
    port = net.overlay.port
    with suppress(PlumbError, OSError):  # who enters it next says why that fails
        port = next((link.port for link in tunnels.read(file)), port)
    return replace(net, overlay=replace(net.overlay, netns=file, port=port))


def balancer(net: Network) -> str:
    """Return the file of the namespace of a located network's balancer; empty if there is none."""
    folder = os.path.dirname(net.overlay.netns)
    file = f"{folder}/lb_{net.id[:OF_BALANCER]}"
    return file if folder and tunnels.is_namespace(file) else ""
