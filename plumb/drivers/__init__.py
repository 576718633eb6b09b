"""Drivers: each one is the explanation of a kind of network, as code that names what must exist.

A driver yields things in the order in which one would build them by hand. It has no verb, no
condition on what is there already, and nothing about taking away: that all follows from the things.

    driver             the driver value, and what a driver may ask of the host
    options            what the drivers' options (`-o`) have in common
    bridge             a private segment on this host, behind the host's address
    bridge_iptables    its firewall and NAT with iptables
    bridge_nftables    the same with nftables
    rule_reasons       why each of the firewall's rules exists, in a sentence
    published_ports    its published ports
    macvlan            containers on the LAN, each with a MAC of its own
    overlay            a segment that containers on several hosts share, in VXLAN packets
    overlay_encryption  ESP around these packets
    ipvlan             containers on the LAN with the host's MAC
    parent_link        the host's links that these two are on
    host               no network stack of its own
    none               a network stack with nobody else in it (Docker's driver "null")
    sandbox            a container's network stack, whatever networks it is on
    services           one name, one address and one port for many containers
    embedded_dns       the DNS server at 127.0.0.11

To add a driver, write one file here and add it to the table below:

1. The docstring is the page that explains the network: a picture, the way of a packet, the options.
2. `network()` and `endpoint()` yield the things (`plumb.things`) that the network and a container's
   place in it are made of; `sandbox.interface()` yields what every interface needs.
3. `complete()` chooses and checks what the command line alone does not give; subnets come from
   `HostView.allot_subnets()`.
4. Own options are a frozen `DriverOptions` and a table of keys; they are read from the network's
   stored labels.
5. `DRIVER` is the value with these and with the traits (`model/driver_traits.py`) that promises,
   traces and listings read; there they stand once more, for whoever only reads the record.

No module outside this folder and the command line compares a driver's name.
"""

from __future__ import annotations

from plumb.drivers import bridge, host, ipvlan, macvlan, none, overlay
from plumb.drivers.driver import Driver
from plumb.model.cnm import Network
from plumb.model.driver_traits import TRAITS

DRIVERS: dict[str, Driver] = {
    "bridge": bridge.DRIVER,
    "macvlan": macvlan.DRIVER,
    "ipvlan": ipvlan.DRIVER,
    "overlay": overlay.DRIVER,
    "host": host.DRIVER,
    "null": none.DRIVER,
}
"""The drivers by name."""
OTHER_NAMES = {"none": "null"}
"""What Docker's users may call a driver as well."""
TRAITS.drivers = DRIVERS


def driver_of(net: Network) -> Driver:
    """The driver of a network."""
    return DRIVERS[net.driver]
