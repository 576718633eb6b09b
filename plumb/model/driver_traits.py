"""Traits: differences between the drivers' networks, as far as values and words depend on them.

A driver (`drivers/driver.py`) is a `Traits` with the functions that build its networks. The model
lies below the drivers, so it has only the base, and the table of drivers is handed to it: by the
package `plumb.drivers` when that is imported, or by the engine (`engine/lookup.py`) when a network
is first asked. The drivers are many modules, and most commands that only read need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY

from plumb.frozen import frozen
from plumb.model.driver_options import DriverOptions


@frozen
class Traits:
    """Properties that all networks of a driver have.

    Attributes:
        name: the driver's name, as `--driver` has it and as a network stores it.
        stored: the field of `cnm.Network` that stores the driver's own options; empty for a driver
            whose options are read from `Network.options` whenever they are needed.
        link_prefix: the beginning of the name of the network's link in the host, where the user
            has named none, of at most three letters (IFNAMSIZ leaves 15 with the twelve digits of
            the id); empty for a driver without such a link.
        bridge_in_host: that link is a bridge in the host's own namespace, with an address on it:
            the containers' router is this host, and its firewall and NAT are between them and the
            world.
        on_lan: the containers' links are made on a parent, a link of the host: they are machines of
            the parent's segment, and none of the host's bridges, rules and NAT is in between.
        publishes_ports: `-p` has a meaning on its networks.
        own_mac: each container's link has a MAC of its own.
        multi_host: its networks are the cluster's, with members on several hosts; addresses come
            from the cluster, and their gateways lead to their other subnets only.
    """

    _: KW_ONLY
    name: str
    stored: str = ""
    link_prefix: str = ""
    bridge_in_host: bool = False
    on_lan: bool = False
    publishes_ports: bool = False
    own_mac: bool = True
    multi_host: bool = False

    def own_options(self, options: tuple[tuple[str, str], ...]) -> DriverOptions:
        """The driver's own options from `-o` keys and values; none unless a driver says so."""
        return DriverOptions()


class Registry:
    """The table of drivers in which networks look up their traits.

    Attributes:
        drivers: by name; empty as long as they are not loaded.
        load: a function that loads them and returns the table.
    """

    def __init__(self) -> None:
        self.drivers: Mapping[str, Traits] = {}
        self.load: Callable[[], Mapping[str, Traits]] = dict

    def __getitem__(self, name: str) -> Traits:
        """The traits of a driver.

        Raises:
            LookupError: there is no such driver, or nobody has said how to load them.
        """
        self.drivers = self.drivers or self.load()
        try:
            return self.drivers[name]
        except KeyError:
            known = ", ".join(self.drivers) or "none, since they were not loaded"
            raise LookupError(f"no driver {name!r}; there are {known}") from None


TRAITS = Registry()
