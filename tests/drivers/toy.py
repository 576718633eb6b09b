"""toy: a segment of its own on this host, which the host is not a part of.

A driver as short as one can be, to show that nothing else has to change for it: this file, and one
line in the table of drivers.

    container c1          container c2
    eth0 172.18.0.1       eth0 172.18.0.2        macvlan links
       └───────── on ────────┘
            ty-0123456789ab                      a dummy: what it sends is gone

The dummy has no address, so that the host reaches nobody and nobody has a gateway.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.driver import Driver, HostView
from plumb.drivers.options import Keys, choice
from plumb.drivers.sandbox import interface
from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import DriverOptions, MacvlanMode
from plumb.model.parse import link_prefix
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.links import Dummy, Macvlan, Up


@frozen
class ToyOptions(DriverOptions):
    """The toy driver's options, parsed."""

    mode: MacvlanMode = MacvlanMode.BRIDGE
    iface_prefix: str = "eth"


def options(net: Network) -> ToyOptions:
    """The options of a toy network."""
    found = net.own
    assert isinstance(found, ToyOptions)
    return found


def complete(net: Network, host: HostView) -> Network:
    """The network with its subnets.

    Raises:
        Invalid: IPv6 is asked for.
    """
    if net.ipv6:
        raise Invalid("toy networks have no IPv6")
    return host.allot_subnets(net)


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """A toy network: a link that leads nowhere."""
    yield Dummy(net.link)
    yield Up(net.link)


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """A container's link on it."""
    yield Macvlan(end.ifname, net.link, ns, end.link, end.mac, options(net).mode)
    yield from interface(end, ns)


KEYS: Keys = {
    "mode": ("mode", choice(MacvlanMode, "{} is no mode of a toy")),
    "prefix": ("iface_prefix", link_prefix),
}

DRIVER = Driver(
    name="toy",
    keys=KEYS,
    defaults=ToyOptions(),
    link_prefix="ty-",
    complete=complete,
    network=network,
    endpoint=endpoint,
)
