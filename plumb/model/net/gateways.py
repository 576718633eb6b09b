"""Default gateways: the choice of the network that provides a sandbox's default route.

Docker chooses for each address family on its own, and anew whenever a network comes or goes. The
order is also the one in which names are looked up.

A sandbox that no network gives a gateway, though one of them is not internal, gets one more
endpoint, on GATEWAY_NETWORK (Docker's docker_gwbridge): one on an IPv6 network whose IPv6 is off.
"""

from __future__ import annotations

from plumb.errors import Conflict
from plumb.model.cnm import Endpoint, Ends, Network

GATEWAY_NETWORK = "plumb_gwbridge"
"""Bridge network that is there for the default gateway only: its containers are parted from each
other, and it has no names."""


def gateway_order(ends: Ends) -> Ends:
    """Endpoints in the order in which Docker looks for a default gateway, and resolves names.

    Docker's order: higher gw-priority, then non-internal networks, then those with more address
    families, then the network's name.
    """
    if len(ends) < 2:  # as of most containers
        return list(ends)

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


def lacks_gateway(ends: Ends) -> bool:
    """True if a sandbox needs an endpoint on GATEWAY_NETWORK.

    On a LAN it needs none, though its network has no gateway, and an internal network asks for
    none.

    Args:
        ends: its endpoints, without the one on GATEWAY_NETWORK.
    """
    asking = [(end, net) for end, net in ends if not net.internal and not net.on_lan]
    return bool(asking) and not any(net.router(ip) for end, net in asking for ip in end.ips)


def check_gateway_network(net: Network) -> None:
    """Refuse a network called GATEWAY_NETWORK that leads nowhere by a gateway of this host.

    As Docker's, it may be one that the user has made, with a subnet or options of their own.

    Raises:
        Conflict: it is internal, a configuration, on a LAN, or a network of the cluster.
    """
    if net.closed or net.config_only or net.on_lan or net.of_cluster or net.layer3:
        raise Conflict(
            f"network {net.name} of this host does not lead out, "
            "as the bridge network of that name is to, for overlay networks",
            f"'plumb network rm {net.name}': plumb makes one when it is needed",
        )
