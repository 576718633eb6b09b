"""A service on one network, as each host that has a part in the network needs it.

The managers tell it to these hosts whole, whenever it changes. A host's balancer and its embedded
DNS server follow from it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface
from math import gcd

from plumb.address import IPInterface
from plumb.frozen import frozen
from plumb.model.ports import ServicePort

MOST_SLOTS = 256
"""Slots that a service's weights are spread over at most, beside one for each task."""


class Balancing(StrEnum):
    """Choice of a task for a new connection, by the names of IPVS's schedulers (ipvsadm(8))."""

    RR = "rr"  # one after the other
    WRR = "wrr"  # the same, by weight
    LC = "lc"  # the one with the fewest connections; IPVS alone can tell
    SH = "sh"  # by the client's address, so that a client stays with one task
    RANDOM = "random"


class Mechanism(StrEnum):
    """Means of a host by which a service's connections come to its tasks."""

    IPVS = "ipvs"
    RULES = "rules"  # of the firewall's back end: iptables' statistic, nftables' numgen


class Rules(StrEnum):
    """Rules of the firewall by which a host's balancers, or tasks with direct return, choose."""

    SETTING = ""  # those of the setting firewall-backend
    IPTABLES = "iptables"  # the kernel has them, and not what the setting's need
    NFTABLES = "nftables"
    NONE = "none"  # the kernel has neither


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
        named_ports: ports that SRV records tell; empty on the ingress network.
        backends: its tasks, in the order of their slots.
        mark: firewall mark of its packets on this host, chosen by the host: from 256 upwards.
        mechanism, rules: chosen by the host, as its kernel has them.
        listens_v6: True if programs of this host can listen on IPv6.
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
    mechanism: Mechanism = Mechanism.RULES
    listens_v6: bool = False
    named_ports: tuple[ServicePort, ...] = ()
    rules: Rules = Rules.SETTING

    @property
    def id(self) -> str:
        """Id among those of a host: "SERVICE.NETWORK"."""
        return f"{self.service}.{self.network}"

    @property
    def ips(self) -> tuple[IPInterface, ...]:
        """Virtual addresses, IPv4 first."""
        return tuple(ip for ip in (self.ip, self.ip6) if ip is not None)

    @property
    def serving(self) -> bool:
        """True if it has a virtual address, and a task behind it."""
        return bool(self.ips and self.backends)

    @property
    def slots(self) -> tuple[Backend, ...]:
        """Tasks in the order in which new connections come to them, over and over.

        Each has one slot; where weights count, as many as its weight says, spread evenly.
        """
        live = [end for end in self.backends if end.weight > 0]
        if self.balancing not in (Balancing.WRR, Balancing.RANDOM):
            return tuple(live)
        turns = [
            ((number + 0.5) / share, place, end)
            for place, (end, share) in enumerate(zip(live, _shares(live), strict=True))
            for number in range(share)
        ]
        return tuple(end for _, _, end in sorted(turns, key=lambda turn: turn[:2]))


def _shares(live: Sequence[Backend]) -> list[int]:
    """Weights as small numbers in the same proportions, 1 at least."""
    weights = [end.weight for end in live]
    common = gcd(*weights)
    least = max(1.0, sum(weights) / common / MOST_SLOTS)
    return [max(1, round(weight / common / least)) for weight in weights]
