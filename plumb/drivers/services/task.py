"""A task's endpoint, beside what every endpoint has: its published ports, or direct return.

With direct return the service's virtual address is each task's own as well, on `lo`. What a task
asks its service would never leave it. So the task balances its own connections by rules, as a
balancer without IPVS does, and speaks from the address of its own that is no other task's:

    mangle, nat OUTPUT    new, to the virtual address → DNAT to a task, itself among them
    nat POSTROUTING       rewritten, to the network → the task's own address as source

Where the kernel has nothing to choose with, a task that asks its own service reaches itself alone,
as in Docker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address

from plumb.address import ip_on
from plumb.drivers.services import by_iptables, by_nftables, ingress, source
from plumb.drivers.services.balancer import Balancer, Served
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.status import TaskOf
from plumb.model.service.virtual import Mechanism, VirtualService
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.layer3 import Address, Sysctl

SILENT = {"arp_ignore": "1", "arp_announce": "2"}
"""ARP of an interface for its own addresses alone, and from them alone."""
NOT_SHARED = "other tasks have the virtual address as well, and could not answer it"


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
        yield from _own_connections(end, net, known, ns, settings)


def _direct_return(end: Endpoint, known: VirtualService, ns: str) -> Iterator[Thing]:
    """The virtual address is the task's own as well, and nobody must hear of it by ARP."""
    for ip in known.ips:
        yield Address("lo", ip_on(ip.ip, ip.max_prefixlen), ns)
    for name, value in SILENT.items():
        yield Sysctl(f"net/ipv4/conf/{end.ifname}/{name}", value, ns, usual="0")


def _own_connections(
    end: Endpoint, net: Network, known: VirtualService, ns: str, settings: Settings
) -> Iterator[Thing]:
    """Yield the rules that lead a task's connections to its own service to the other tasks too.

    Connections of one client have one source for all tasks, the virtual address: so that not all
    tasks choose the same one by it, each chooses by a seed of its own.
    """
    choose = OWN[known.rules or settings.firewall_backend]
    for ip in known.ips if known.serving else ():
        own = end.address(ip.version)
        if own is not None:
            here = Balancer(net, ns, end, seed=int(own.ip) & 0xFFFFFFFF, why=NOT_SHARED)
            yield from choose(Served(known, here, ip.ip))


OWN: dict[str, Callable[[Served], Iterator[Thing]]] = {
    "iptables": partial(by_iptables.things, chain="OUTPUT"),
    "nftables": partial(by_nftables.things, hook="output"),
    "none": lambda served: iter(()),
}
"""By the setting firewall-backend, or the host's other choice."""
