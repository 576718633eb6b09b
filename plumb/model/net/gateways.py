"""Default gateways: the choice of the network that provides a sandbox's default route.

Docker chooses for each address family on its own, and anew whenever a network comes or goes. The
order is also the one in which names are looked up.
"""

from __future__ import annotations

from plumb.model.cnm import Endpoint, Ends, Network


def gateway_order(ends: Ends) -> Ends:
    """Endpoints in the order in which Docker looks for a default gateway, and resolves names.

    Docker's order: higher gw-priority, then non-internal networks, then those with more address
    families, then the network's name.
    """

    def rank(end: tuple[Endpoint, Network]) -> tuple[int, bool, int, str]:
        endpoint, network = end
        gateways = sum(network.leads_out(ip) for ip in endpoint.ips)
        return -endpoint.gw_priority, network.internal, -gateways, network.name

    return sorted(ends, key=rank)


def gateway_of(ends: Ends, version: int) -> tuple[Endpoint, Network] | None:
    """The endpoint that provides the default gateway of one address family.

    Each family chooses for itself.
    """
    for endpoint, network in gateway_order(ends):
        ip = endpoint.address(version)
        if ip is not None and network.leads_out(ip):
            return endpoint, network
    return None
