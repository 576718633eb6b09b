"""A network's balancer on a host, and a service in it, as every means of balancing sees them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from plumb.address import IPAddress, IPInterface
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.model.ports import ServicePort
from plumb.model.service.virtual import Backend, Balancing, VirtualService

RETURN_BY_BALANCER = "answers come back by way of the balancer, which undoes what it has rewritten"
MARKED = "a connection to the service's address gets the service's mark"
PUBLISHED = "a connection to a published port gets the service's mark"
CHOSEN = "whoever has this mark goes to this task"


@frozen
class Gate:
    """The ingress balancer's place on the gateway network.

    Attributes:
        net: the gateway network; end: the endpoint on it.
    """

    net: Network
    end: Endpoint

    @property
    def ip(self) -> IPv4Address:
        """Address that published ports lead to."""
        assert self.end.ip is not None
        return self.end.ip.ip


@frozen
class Balancer:
    """A network's balancer on this host, or a task that balances what it asks its own service.

    Attributes:
        ns: path of its network namespace; end: its endpoint on the network.
        gate: by which published ports come to the ingress network's balancer; None of any other.
        seed: number that makes its choice by the client's address another one than others'.
        why: reason for which it puts its own address in the place of the client's.
    """

    net: Network
    ns: str
    end: Endpoint
    gate: Gate | None = None
    seed: int = 0
    why: str = RETURN_BY_BALANCER


@frozen
class Served:
    """A service in a balancer, of one address family.

    Attributes:
        vip: its virtual address; slots: addresses of tasks in the order of new connections.
        backends: all its tasks by address, with those that get no new connection.
    """

    one: VirtualService
    here: Balancer
    vip: IPAddress

    @property
    def version(self) -> int:
        """IP version of the virtual address."""
        return self.vip.version

    @property
    def ns(self) -> str:
        """Namespace of the balancer."""
        return self.here.ns

    @property
    def mark(self) -> int:
        """Mark of the service's packets."""
        return self.one.mark

    @property
    def seed(self) -> int:
        """Seed of the choice by the client's address."""
        return self.mark ^ self.here.seed

    @property
    def balancing(self) -> Balancing:
        """Choice of a task."""
        return self.one.balancing

    @property
    def ports(self) -> tuple[ServicePort, ...]:
        """Published ports, which come by the ingress network's IPv4 side."""
        return self.one.ports if self.version == 4 else ()

    @property
    def slots(self) -> tuple[IPAddress, ...]:
        """Addresses of tasks in the order of new connections."""
        return tuple(ip for end in self.one.slots if (ip := self.address(end)) is not None)

    @property
    def backends(self) -> tuple[tuple[IPAddress, int], ...]:
        """Addresses and weights of all tasks."""
        return tuple(
            (ip, end.weight) for end in self.one.backends if (ip := self.address(end)) is not None
        )

    def address(self, end: Backend) -> IPAddress | None:
        """Address of a task, None where it has none of this version."""
        found = end.ip if self.version == 4 else end.ip6
        return found.ip if found is not None else None

    @property
    def _own(self) -> IPInterface | None:
        return self.here.end.address(self.version)

    def returns(self) -> Iterator[tuple[str, str]]:
        """Yield a subnet of tasks, and the balancer's address that they are to answer to.

        None where they see the client itself.
        """
        own = None if self.here.net.overlay.preserve_source else self._own
        for pool in self.here.net.pools if own is not None else ():
            if pool.subnet.version == self.version:
                assert own is not None
                yield str(pool.subnet), str(own.ip)
