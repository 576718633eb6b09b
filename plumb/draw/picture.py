"""Picture: namespaces as boxes, links as interfaces in them, and wires between interfaces.

It is a value without I/O. Names are the kernel's and the engines' own, as they are: whatever prints
them has to escape them. All parts are in a stable order, so that two pictures of one host differ
where the host does.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property

from plumb.address import IPInterface
from plumb.frozen import frozen

FORMAT = 1
"""Version of a picture's JSON."""


class BoxKind(StrEnum):
    """Kinds of network namespaces."""

    HOST = "host"
    CONTAINER = "container"
    NETWORK = "network"  # an overlay network's own, or its balancer's
    NAMESPACE = "namespace"  # that of `ip netns` or of a process


class WireKind(StrEnum):
    """Kinds of wires.

    A wire of an interface with what stands below it begins at the one above.
    """

    VETH = "veth"  # both ends of a pair
    PORT = "port"  # a link, and the bridge, bond or VRF that it is in
    PARENT = "parent"  # a macvlan, ipvlan or VLAN link, and its parent
    UPLINK = "uplink"  # a link, and what is beyond it
    TUNNEL = "tunnel"  # a VXLAN link, and the address of the other host
    PUBLISHED = "published"  # an address and port of this host, and a container's interface
    NAT = "nat"  # the link of a network, and what its packets get as their source
    POLICY = "policy"  # a link, and a rule of the administrator's about it


class LinkState(StrEnum):
    """State of a link."""

    UP = "up"
    NO_CARRIER = "no carrier"
    DOWN = "down"


@frozen
class End:
    """End of a wire.

    Attributes:
        box: the box's name; empty: outside of all namespaces that were read.
        interface: the interface's name; outside: what is there, in words. Empty: the whole box.
    """

    box: str
    interface: str

    @property
    def outside(self) -> bool:
        """True if the end is in no box."""
        return not self.box

    def __str__(self) -> str:
        return f"{self.box}/{self.interface}" if self.box else self.interface


@frozen
class Interface:
    """A link in a namespace.

    Attributes:
        name: the link's name; kind: "veth", "bridge", …, empty for hardware.
        state: that of the link; mac: its address; mtu: bytes.
        ips: its addresses, IPv4 first.
        detail: what a kind has beside: "VLAN 5", "VNI 4097", "mode bridge".
        about: its part in a network, in words: "bridge of shop", "web's port on shop".
        policies: what its network allows, where that is not the usual: "internal".
    """

    name: str
    kind: str = ""
    state: LinkState = LinkState.UP
    mac: str = ""
    mtu: int = 1500
    ips: tuple[IPInterface, ...] = ()
    detail: str = ""
    about: str = ""
    policies: tuple[str, ...] = ()


@frozen
class Box:
    """A network namespace.

    Attributes:
        name: the container's, "host", or another name of the namespace.
        engine: what made it: "plumb", "docker", …; empty for the host and for a network's own.
        containers: names of all containers in it, where several share it or it is the host.
    """

    name: str
    kind: BoxKind
    engine: str = ""
    containers: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()


@frozen
class Wire:
    """A wire between two ends.

    Attributes:
        one, other: the ends; of a veth pair in the order of their boxes.
        label: what is written at it: "to 80/tcp", "MASQUERADE 172.20.0.0/24".
    """

    kind: WireKind
    one: End
    other: End
    label: str = ""


@frozen
class Picture:
    """A host's wiring.

    Attributes:
        boxes: the host first, then networks' own namespaces, then containers.
        missing: sentences on what could not be read.
        format: the version of this form.
    """

    boxes: tuple[Box, ...] = ()
    wires: tuple[Wire, ...] = ()
    missing: tuple[str, ...] = ()
    format: int = FORMAT

    @cached_property
    def interfaces(self) -> dict[End, Interface]:
        """Interfaces of all boxes, by their place."""
        return {End(box.name, each.name): each for box in self.boxes for each in box.interfaces}

    @cached_property
    def _at(self) -> dict[End, list[Wire]]:
        found: dict[End, list[Wire]] = {}
        for wire in self.wires:
            for end in dict.fromkeys((wire.one, wire.other)):
                found.setdefault(end, []).append(wire)
        return found

    def wires_at(self, end: End) -> list[Wire]:
        """The wires of an interface."""
        return self._at.get(end, [])


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Key by which eth2 comes before eth10."""
    parts = re.split(r"([0-9]{1,9})", text)
    return tuple((int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts))
