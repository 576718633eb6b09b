"""A service on one network, as each host that has a part in the network needs it.

The managers tell it to these hosts whole, whenever it changes. A host's balancer and its embedded
DNS server follow from it alone.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from plumb.frozen import frozen
from plumb.model.ports import ServicePort
from plumb.model.service.spec import Balancing


@frozen
class Backend:
    """A task that connections go to.

    Attributes:
        task: its id; name: its container's.
        ip, ip6: its addresses on the network.
        weight: share of new connections; 0: none, those that are there go on.
        named: its address is an answer to the service's name.
    """

    task: str
    name: str
    ip: IPv4Interface
    ip6: IPv6Interface | None = None
    weight: int = 1
    named: bool = True


@frozen
class VirtualService:
    """A service on a network.

    Attributes:
        service: the service's id; network: the network's.
        name: the service's name; aliases: its further names on the network. On the ingress network
            it has no names.
        ip, ip6: its virtual addresses; None with endpoint mode dnsrr.
        ports: those published by way of the ingress network; empty on others.
        backends: its tasks, in the order of their slots.
        mark: firewall mark of its packets on this host, chosen by the host: from 256 upwards.
    """

    service: str
    network: str
    name: str
    aliases: tuple[str, ...] = ()
    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    ports: tuple[ServicePort, ...] = ()
    balancing: Balancing = Balancing.RR
    backends: tuple[Backend, ...] = ()
    mark: int = 0

    @property
    def id(self) -> str:
        """Id among those of a host: "SERVICE.NETWORK"."""
        return f"{self.service}.{self.network}"
