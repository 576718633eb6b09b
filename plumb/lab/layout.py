"""The hosts of a lab, and what lies between them.

    switch    h1 ── sw0 ── h2, h3 …            one segment; the lab's namespace is its router
    router    h1, h3 … ── sw0 ── router ── sw1 ── h2, h4 …
    nat       the same, and what comes from sw1 leaves with the router's address on sw0

The switches and the router are one namespace, the lab's own, which also has "the internet" on its
loopback interface. No route leads from there to a container: what answers was asked by a host's
own address.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_interface, ip_network

from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.lab.lan import LAN, SECOND_LAN, Lan, Station
from plumb.things import HOST, Thing
from plumb.things.iptables import Family, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth

FIRST_STATION, MOST = 10, 200
"""Number of the first host on its segment, and how many hosts a lab has room for."""
UPLINK = "eth0"
SWITCHES = ("sw0", "sw1")


class Between(StrEnum):
    """Connection of the hosts of a lab."""

    SWITCH = "switch"
    ROUTER = "router"
    NAT = "nat"


@frozen
class Place:
    """A host's place in its lab.

    Attributes:
        number: from 0.
        between: what connects the lab's hosts.
    """

    number: int
    between: Between = Between.SWITCH

    @property
    def name(self) -> str:
        """Host name, from h1 on."""
        return f"h{self.number + 1}"

    @property
    def segment(self) -> int:
        """Number of its switch: hosts take turns where there are two."""
        return 0 if self.between is Between.SWITCH else self.number % 2

    @property
    def lan(self) -> Lan:
        """Segment that it is on."""
        return (LAN, SECOND_LAN)[self.segment]

    @property
    def station(self) -> Station:
        """Addresses: 192.0.2.10 and 2001:db8:2::10 for the first host."""
        return self.lan.station(FIRST_STATION + self.number)

    @property
    def port(self) -> str:
        """Name of its port on the switch."""
        return f"port-{self.name}"

    @property
    def switch(self) -> str:
        """Name of its switch."""
        return SWITCHES[self.segment]


def places(count: int, between: Between) -> tuple[Place, ...]:
    """The places of so many hosts.

    Raises:
        Invalid: there is no room for so many, or none is wanted.
    """
    if not 1 <= count <= MOST:
        raise Invalid(f"a lab of {count} hosts", f"a lab has 1 to {MOST} hosts")
    return tuple(Place(number, between) for number in range(count))


def _mac(*numbers: int) -> str:
    return "02:00:5e:00:" + ":".join(f"{number:02x}" for number in numbers)


def switches(between: Between, mtu: int | None) -> Iterator[Thing]:
    """Things of the lab's own namespace: the switches, their router, the internet.

    Args:
        mtu: of all links between the hosts, None for the kernel's 1500.
    """
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        yield Sysctl(name, "1")
    lans = (LAN,) if between is Between.SWITCH else (LAN, SECOND_LAN)
    for number, lan in enumerate(lans):
        yield Bridge(SWITCHES[number], _mac(0, number), mtu)
        yield Address(SWITCHES[number], lan.router.v4)
        yield Address(SWITCHES[number], lan.router.v6)
        yield Up(SWITCHES[number])
    yield Address("lo", ip_interface(LAN.internet))
    yield Address("lo", ip_interface(LAN.internet6))
    yield Up("lo")
    if between is Between.NAT:
        for family in (Family.V4, Family.V6):
            yield Rule(
                family,
                "nat",
                "POSTROUTING",
                f"-o {SWITCHES[0]} ! -s {_subnet(family)} -j MASQUERADE",
                why="the second segment is hidden behind the router's address on the first",
            )


def _subnet(family: Family) -> str:
    return str(LAN.subnet if family is Family.V4 else LAN.subnet6)


def host(place: Place, ns: str, mtu: int | None) -> Iterator[Thing]:
    """Things of a host's connection: its port on the switch, its uplink, its way out.

    Args:
        place: the host's place.
        ns: path of its network namespace, seen from the lab's process.
        mtu: as of `switches`.
    """
    mac = _mac(1, place.number)
    yield Sysctl("net/ipv6/conf/default/accept_dad", "0", ns)
    yield Veth(place.port, place.switch, UPLINK, ns, mac, mtu)
    yield Address(UPLINK, place.station.v4, ns)
    yield Address(UPLINK, place.station.v6, ns)
    yield Up(UPLINK, ns)
    yield Up("lo", ns)
    yield Route(ip_network("0.0.0.0/0"), place.lan.router.v4.ip, UPLINK, ns)
    yield Route(ip_network("::/0"), place.lan.router.v6.ip, UPLINK, ns)


def carrier(place: Place) -> Thing:
    """The switch's port of a host being up: without it the host is cut off."""
    return Up(place.port, HOST)
