"""Traits: differences between the drivers' networks, as far as values and words depend on them.

A driver (`drivers/driver.py`) is a `Traits` with the functions that build its networks. The model
lies below the drivers, so it has only the base, and the table of drivers is handed to it: by the
package `plumb.drivers` when that is imported, or by the engine (`engine/lookup.py`) when a network
of another driver than plumb's own is asked. The drivers are many modules, and commands that only
read need none of them: so the traits of plumb's own are here as well.
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


BUILT_IN = (
    Traits(
        name="bridge", stored="bridge", link_prefix="br-", bridge_in_host=True, publishes_ports=True
    ),
    Traits(name="macvlan", stored="macvlan", link_prefix="dm-", on_lan=True),
    Traits(name="ipvlan", stored="ipvlan", link_prefix="di-", on_lan=True, own_mac=False),
    Traits(name="overlay", stored="overlay", multi_host=True),
    Traits(name="host"),
    Traits(name="null"),
)
"""Traits of plumb's own drivers, as these have them: whoever only reads need not load a driver."""


class Registry:
    """The table in which networks look up their traits.

    Attributes:
        drivers: by name; empty as long as they are not loaded.
        load: a function that loads them and returns the table.
    """

    def __init__(self) -> None:
        self.drivers: Mapping[str, Traits] = {}
        self.load: Callable[[], Mapping[str, Traits]] = dict
        self._built_in = {traits.name: traits for traits in BUILT_IN}

    def __getitem__(self, name: str) -> Traits:
        """The traits of a driver.

        Raises:
            LookupError: there is no such driver, or nobody has said how to load others.
        """
        found = self.drivers.get(name) or self._built_in.get(name)
        if found is None:
            self.drivers = self.drivers or self.load()
            found = self.drivers.get(name)
        if found is None:
            known = ", ".join(self.drivers) or "none, since they were not loaded"
            raise LookupError(f"no driver {name!r}; there are {known}")
        return found


TRAITS = Registry()
