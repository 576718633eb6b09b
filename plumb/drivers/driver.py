"""The driver value: all that the rest of plumb uses of a driver.

Each driver's file ends with one of these. A driver's functions get values, and what they must ask
of the host they ask a `HostView`; so a file reads as the explanation of its kind of network, and
does nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, field, replace
from typing import Any, Protocol

from plumb.address import IPAddress
from plumb.drivers.options import Keys, parse
from plumb.frozen import frozen
from plumb.model.cluster import Node, RemoteEndpoint
from plumb.model.cnm import Endpoint, Linked, Network
from plumb.model.driver_options import DriverOptions
from plumb.model.driver_traits import Traits
from plumb.model.settings import Settings
from plumb.things import Key, Thing


class HostView(Protocol):
    """The host and the intent, as a driver may ask them before a network is built or joined."""

    @property
    def settings(self) -> Settings:
        """The host's settings."""

    def networks(self) -> Sequence[Network]:
        """List all networks, those of the operation under way too."""

    def kind_of(self, link: str) -> str | None:
        """The IFLA_INFO_KIND of a link of the host, "" for hardware; None where there is none."""

    def recorded(self, key: Key) -> Thing | None:
        """The thing that plumb has recorded under a key."""

    def previous(self, key: Key) -> Thing | None:
        """The state of a standing thing before plumb changed it."""

    def look(self, things: Sequence[Thing]) -> Sequence[Thing | None]:
        """The state of each of these in the kernel now, None for one that is not there."""

    def netns(self, network: str) -> str:
        """The file for the namespace of a network that has one of its own."""

    def new_mac(self) -> str:
        """A random, locally administered unicast MAC address."""

    def node(self) -> Node | None:
        """The host as a node of its cluster, None where it is in none."""

    def mtu_of(self, ip: IPAddress) -> int:
        """MTU of the link that has an address, bytes; 1500 where none has it."""

    def allot_subnets(self, net: Network) -> Network:
        """The network with a subnet for each address family and a gateway where it needs one.

        Raises:
            Conflict, Exhausted: an address or a subnet cannot be had.
        """


def _as_is(net: Network, host: HostView) -> Network:
    return net


def _accept(net: Network, host: HostView) -> None:
    """Accept any."""


def _nothing(*_: object) -> Iterator[Thing]:
    yield from ()


def _never(net: Network, version: int) -> bool:
    return False


@frozen
class Driver(Traits):
    """A driver: its traits, and the functions that say what its networks are.

    Attributes:
        only_predefined: there is one network of it, which is always there; users make none.
        keys: the labels of its own options (`-o`).
        defaults: its own options where no label is given.
        complete: (network as asked for, host) -> network with all that must be chosen and checked
            before it can be built; raises what does not go.
        check_settings: (network, host); raises if the network does not go with the host's settings,
            which may have changed since it was made.
        check_join: (network, host); raises if no container can join it any more.
        needs_gateway: (network, address family) -> whether an address of the subnet is set aside
            for its gateway.
        materialise: (network of the cluster, host) -> network with all that is chosen for this
            host's part of it.
        remote: (network, endpoint on another host, settings) -> the things by which this host
            reaches it.
        shared: settings -> the things that are there once for all networks of the driver.
        network: (network, settings) -> the network's things, in building order.
        endpoint: (network, endpoint, namespace file, settings) -> the things of a container's place
            in it.
        link: (network, endpoint, other, settings) -> the things that `--link` to another container
            adds to an endpoint of the default network.
    """

    _: KW_ONLY
    only_predefined: bool = False
    keys: Keys = field(default_factory=dict)
    defaults: DriverOptions = field(default_factory=DriverOptions)
    complete: Callable[[Network, HostView], Network] = _as_is
    check_settings: Callable[[Network, HostView], None] = _accept
    check_join: Callable[[Network, HostView], None] = _accept
    needs_gateway: Callable[[Network, int], bool] = _never
    materialise: Callable[[Network, HostView], Network] = _as_is
    remote: Callable[[Network, RemoteEndpoint, Settings], Iterator[Thing]] = _nothing
    shared: Callable[[Settings], Iterator[Thing]] = _nothing
    network: Callable[[Network, Settings], Iterator[Thing]] = _nothing
    endpoint: Callable[[Network, Endpoint, str, Settings], Iterator[Thing]] = _nothing
    link: Callable[[Network, Endpoint, Linked, Settings], Iterator[Thing]] = _nothing

    def network_fields(self, options: Mapping[str, str]) -> dict[str, Any]:
        """Labels (`-o`) as fields of a network of this driver.

        Raises:
            Invalid: a key that the driver does not have, or a value that cannot be parsed.
        """
        own, common = parse(self.name, self.keys, options)
        return {self.stored: self._with(own), **common} if self.stored else common

    def own_options(self, options: tuple[tuple[str, str], ...]) -> DriverOptions:
        """The driver's own options from a network's labels."""
        return self._with(parse(self.name, self.keys, dict(options))[0])

    def _with(self, own: Mapping[str, Any]) -> DriverOptions:
        return replace(self.defaults, **own)
