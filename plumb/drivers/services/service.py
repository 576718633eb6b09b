"""Things of a service on a network of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plumb.address import ip_on
from plumb.drivers.services import by_iptables, by_ipvs, by_nftables, ingress, names
from plumb.drivers.services.balancer import Balancer, Served
from plumb.model.cnm import Network
from plumb.model.service.virtual import Mechanism, Rules, VirtualService
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.layer3 import Address, Sysctl

WAYS: dict[tuple[Mechanism, str], Callable[[Served], Iterator[Thing]]] = {
    (Mechanism.IPVS, "iptables"): by_ipvs.with_iptables,
    (Mechanism.IPVS, "nftables"): by_ipvs.with_nftables,
    (Mechanism.RULES, "iptables"): by_iptables.things,
    (Mechanism.RULES, "nftables"): by_nftables.things,
}
"""By the host's means and the setting firewall-backend."""


def things(
    one: VirtualService, net: Network, here: Balancer | None, folder: str, settings: Settings
) -> Iterator[Thing]:
    """Yield a service's things.

    Args:
        one: the service on the network `net`.
        here: the network's balancer on this host; None where it has none.
        folder: the agent's.
    """
    yield from names.service(one, net, folder)
    if here is not None and one.serving:
        # A node that has its own place from an earlier version has no IPv6 address there.
        for ip in [each for each in one.ips if here.end.address(each.version) is not None]:
            if ip.version == 6:
                yield Sysctl("net/ipv6/conf/all/forwarding", "1", here.ns, usual="0")
            yield Address(here.end.ifname, ip_on(ip.ip, ip.max_prefixlen), here.ns)
            yield from WAYS[one.mechanism, _backend(one, settings)](Served(one, here, ip.ip))
        if one.ports and here.gate is not None:
            yield from ingress.host(one, here.gate, folder, settings)


def _backend(one: VirtualService, settings: Settings) -> str:
    """The firewall's back end: the setting's, but of rules that choose the one that can."""
    able = one.mechanism is Mechanism.RULES and one.rules in (Rules.IPTABLES, Rules.NFTABLES)
    return one.rules.value if able else settings.firewall_backend
