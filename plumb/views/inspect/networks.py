"""A network in Docker's JSON, and its line in `network ls`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from plumb.digest import digest
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Pool, Sandbox
from plumb.model.lifecycle import NEVER
from plumb.views.inspect.moments import go_time
from plumb.views.tables import Line, joined

if TYPE_CHECKING:
    from plumb.model.service.virtual import VirtualService

Json = dict[str, Any]


def network(
    net: Network,
    ends: Sequence[tuple[Endpoint, Sandbox]] = (),
    remotes: Sequence[RemoteEndpoint] = (),
    verbose: bool = False,
    virtual: Sequence[VirtualService] = (),
    bare: Sequence[Sandbox] = (),
) -> Json:
    """`network inspect`.

    Args:
        ends: its endpoints with their sandboxes, balancers too.
        remotes: its endpoints on other hosts.
        verbose: with all endpoints of the cluster, by service.
        virtual: the services on it.
        bare: containers on it that have no endpoint, as those in the host's namespace.
    """
    from plumb.views.inspect import cluster  # lazy: listings need none of it

    peers = cluster.peers(net, remotes)
    return {
        "Name": net.name,
        "Id": net.id,
        "Created": net.created or NEVER,
        "Scope": scope(net),
        "Driver": net.driver,
        "EnableIPv4": net.ipv4,
        "EnableIPv6": net.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": None if net.predefined else {},
            "Config": [_pool(pool) for pool in net.pools] or None,
        },
        "Internal": net.internal,
        "Attachable": net.attachable,
        "Ingress": net.overlay.ingress,
        "ConfigFrom": {"Network": net.config_from},
        "ConfigOnly": net.config_only,
        "Options": cluster.options(net),
        "Labels": dict(sorted(net.labels)),
        "Containers": dict(sorted(_members(net, ends, bare))),
        **({"Peers": peers} if peers else {}),
        **({"Services": cluster.services(net, ends, remotes, virtual)} if verbose else {}),
    }


def scope(net: Network) -> str:
    """Reach of a network: one host, or the cluster (Docker's swarm)."""
    return "swarm" if net.swarm or net.overlay.vnis else "local"


def _label(box: Sandbox) -> str:
    """A container's id; for a balancer its name."""
    return box.name.removeprefix("/") if box.role else box.id


def _pool(pool: Pool) -> Json:
    found: Json = {"Subnet": str(pool.subnet)}
    if pool.range is not None:
        found["IPRange"] = str(pool.range)
    if pool.gateway is not None:
        found["Gateway"] = str(pool.gateway)
    if pool.aux:
        found["AuxiliaryAddresses"] = {name: str(ip) for name, ip in pool.aux}
    return found


def _members(
    net: Network, ends: Sequence[tuple[Endpoint, Sandbox]], bare: Sequence[Sandbox]
) -> Iterator[tuple[str, Json]]:
    for end, box in ends:
        yield _label(box), _member(net, end, box)
    none = {"MacAddress": "", "IPv4Address": "", "IPv6Address": ""}
    for box in bare:
        yield box.id, {"Name": box.name, "EndpointID": stand_in(box), **none}


def stand_in(box: Sandbox) -> str:
    """Id for the endpoint that Docker has on the networks host and none; plumb needs none there."""
    return digest(f"endpoint {box.id}").hex()


def _member(net: Network, end: Endpoint, box: Sandbox) -> Json:
    return {
        "Name": _endpoint_name(net, box),
        "EndpointID": end.id,
        "MacAddress": end.mac,
        "IPv4Address": str(end.ip or ""),
        "IPv6Address": str(end.ip6 or ""),
    }


def _endpoint_name(net: Network, box: Sandbox) -> str:
    """Name of a sandbox's endpoint; those that the user has not asked for have their own."""
    from plumb.model.net.gateways import GATEWAY_NETWORK  # lazy: listings need none of it

    if net.name == GATEWAY_NETWORK and box.attachment(net) is None:
        return f"gateway_{_label(box) if box.role else box.key[:12]}"
    return f"{net.name}-endpoint" if box.role else box.name


def network_row(net: Network, truncate: bool = True) -> Line:
    """A line of `network ls`."""
    columns = {
        "ID": net.id[:12] if truncate else net.id,
        "Name": net.name,
        "Driver": net.driver,
        "Scope": scope(net),
        "IPv4": str(net.ipv4).lower(),
        "IPv6": str(net.ipv6).lower(),
        "Internal": str(net.internal).lower(),
        "Labels": joined(net.labels),
        "CreatedAt": go_time(net.created),
    }
    return Line(columns, dict(net.labels), "*network.networkContext")
