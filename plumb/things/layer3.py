"""Layer 3: addresses, routes, and the kernel's settings (`ip address`, `ip route`, `sysctl`)."""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import ClassVar

from plumb.address import IPAddress, IPInterface, IPNetwork
from plumb.frozen import frozen
from plumb.things import HOST, InNamespace, Key, OnLink, Stage, Thing, lost_with

DOTS = str.maketrans("/.", "./")


@frozen
class Address(OnLink):
    """`ip address add IP dev DEV`; IPv6 always `nodad`.

    Duplicate address detection would leave the address tentative, so unusable, for a second. plumb
    allocates the addresses of a subnet and knows that they are unique, so there is nothing to
    detect.

    Attributes:
        connected: True if the kernel's route to the address's subnet is there. The kernel makes it
            with the address and never again: where somebody has deleted it (`ip route flush`),
            plumb removes the address and adds it anew.
    """

    stage: ClassVar = Stage.ADDRESS
    dev: str
    ip: IPInterface
    ns: str = HOST
    connected: bool = True

    @cached_property
    def key(self) -> Key:
        return ("address", self.ns, self.dev, str(self.ip))

    def replaces(self, before: Thing) -> bool:
        return isinstance(before, Address) and self.connected and not before.connected

    def __str__(self) -> str:
        without = "" if self.connected else " without the route to its subnet"
        return f"address {self.ip} on {self.dev}{without}"


@frozen
class Route(OnLink):
    """`ip route replace DST [via VIA] dev DEV proto boot`.

    Without VIA the destination is on the link, and no router is needed.

    Its key is the destination alone: a default route over another gateway is the same route in
    another state, and plumb replaces it in place, so that there is no moment without one.
    """

    stage: ClassVar = Stage.ROUTE
    dst: IPNetwork
    via: IPAddress | None
    dev: str
    ns: str = HOST

    @cached_property
    def key(self) -> Key:
        return ("route", self.ns, str(self.dst))

    def __str__(self) -> str:
        via = f" via {self.via}" if self.via else ""
        return f"route {'default' if self.dst.prefixlen == 0 else self.dst}{via} dev {self.dev}"


@frozen
class Sysctl(InNamespace):
    """`sysctl -w NAME=VALUE`, the name with slashes, since a link's name may hold dots.

    A setting of one link (`net/ipv4/conf/eth0/…`) goes with the link; plumb restores a setting of
    the whole namespace. `usual` is the value on a new link, for a setting that plumb may have to
    restore while the link stays.
    """

    permanent: ClassVar = True
    name: str
    value: str
    ns: str = HOST
    usual: str = field(default="", compare=False)

    @property
    def dev(self) -> str | None:
        """Link that the setting belongs to; None for one of the whole namespace."""
        words = self.name.split("/")
        if len(words) == 5 and words[2] in ("conf", "neigh") and words[3] not in ("all", "default"):
            return words[3]
        return None

    @property
    def stage(self) -> Stage:  # type: ignore[override]  # mypy: a ClassVar in the base; here it follows from the name
        return Stage.LINK_SYSCTL if self.dev or self.ns else Stage.SYSCTL

    @cached_property
    def key(self) -> Key:
        return ("sysctl", self.ns, self.name)

    @property
    def uses(self) -> tuple[Key, ...]:
        return lost_with(self.ns, self.dev)

    def __str__(self) -> str:
        return f"sysctl {self.name} = {self.value}"


def dotted(name: str) -> str:
    """A setting's name as sysctl(8) takes it: with dots, and slashes for a link's own dots."""
    return name.translate(DOTS)
