"""A task's endpoint, beside what every endpoint has: its published ports, or direct return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from plumb.address import ip_on
from plumb.drivers.services import ingress, source
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.status import TaskOf
from plumb.model.service.virtual import Mechanism, VirtualService
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.layer3 import Address, Sysctl

SILENT = {"arp_ignore": "1", "arp_announce": "2"}
"""ARP of an interface for its own addresses alone, and from them alone."""


def things(
    end: Endpoint,
    net: Network,
    part: TaskOf,
    balancers: Sequence[IPv4Address],
    known: VirtualService | None,
    ns: str,
    settings: Settings,
) -> Iterator[Thing]:
    """Yield the things of a task's endpoint on a network of the cluster.

    Args:
        part: the part that its container plays.
        balancers: addresses of the network's balancers on all hosts.
        known: its service on this network, None where the host has not been told of it yet.
        ns: the task's namespace.
    """
    if net.overlay.ingress:
        yield from ingress.task(end, part.ports, ns, settings)
    if net.overlay.preserve_source and part.ports:
        yield from source.task(end, balancers, ns, settings)
    if net.overlay.direct_return and known is not None and known.mechanism is Mechanism.IPVS:
        yield from _direct_return(end, known, ns)


def _direct_return(end: Endpoint, known: VirtualService, ns: str) -> Iterator[Thing]:
    """The virtual address is the task's own as well, and nobody must hear of it by ARP."""
    for ip in known.ips:
        yield Address("lo", ip_on(ip.ip, ip.max_prefixlen), ns)
    for name, value in SILENT.items():
        yield Sysctl(f"net/ipv4/conf/{end.ifname}/{name}", value, ns, usual="0")
