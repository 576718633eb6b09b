"""Parents: the host's links that macvlan and ipvlan links stand on.

    -o parent=eth0       a link of the host: it is used as it is, and never changed or taken away
    -o parent=eth0.10    a VLAN on one: where it is not there, it is made with the network and goes with the last one on it
    none                 a dummy of the network's own, which leads nowhere, so that its containers reach only each other

On a trunk, the cable from a switch that carries several VLANs, each frame has a tag with the number
of its VLAN (IEEE 802.1Q). What is sent through eth0.10 leaves eth0 with the tag 10, and what comes
in on eth0 with that tag appears on eth0.10 without it: each VLAN is a segment of its own, on one
cable.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.cnm import Network
from plumb.things import Thing
from plumb.things.links import Dummy, Up, Vlan


def parent(net: Network) -> Iterator[Thing]:
    """The network's parent, where it is plumb that makes it."""
    if net.foreign:
        return
    if net.parent:
        below, _, number = net.parent.rpartition(".")
        yield Vlan(net.parent, below, int(number))
    else:
        yield Dummy(net.link)
    yield Up(net.link)
