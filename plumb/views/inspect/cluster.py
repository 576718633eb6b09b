"""Parts of `network inspect` that networks of the cluster have: peers, services, their VNIs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plumb.address import IPInterface
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.parse import VXLANID_LIST
from plumb.model.service.virtual import Mechanism, VirtualService

Json = dict[str, Any]
NO_MARK = 1
"""Index of a service that no mark stands for, as nothing balances it."""


def options(net: Network) -> Json:
    """Options of a network as given, and the VNIs that the cluster has allotted."""
    vnis = ",".join(map(str, net.overlay.vnis))
    return {**dict(net.options), **({VXLANID_LIST: vnis} if vnis else {})}


def peers(net: Network, remotes: Sequence[RemoteEndpoint]) -> list[Json]:
    """Hosts with a member of the network, by the ends of their tunnels; none on one without."""
    found = {str(end.vtep): end.node[:12] for end in remotes}
    if net.overlay.vtep is not None:
        found[str(net.overlay.vtep)] = net.overlay.node[:12]
    return [{"Name": name, "IP": ip} for ip, name in sorted(found.items())]


def services(
    net: Network,
    ends: Sequence[tuple[Endpoint, Sandbox]],
    remotes: Sequence[RemoteEndpoint],
    virtual: Sequence[VirtualService] = (),
) -> Json:
    """Endpoints of the whole cluster by service; containers are of none, as Docker shows them.

    A service without a task is not shown.
    """
    if not net.multi_host:
        return {}
    found = sorted(_members(net, ends, remotes), key=lambda task: str(task["Name"]))
    by_ip = {str(task["EndpointIP"]): task for task in found}
    made: Json = {}
    for service in virtual:
        addresses = [str(backend.ip.ip) for backend in service.backends]
        tasks = [by_ip.pop(ip) for ip in addresses if ip in by_ip]
        if tasks:
            made[service.name] = _service(net, service, tasks)
    none = {"VIP": "", "Ports": [], "LocalLBIndex": 0, "Tasks": list(by_ip.values())}
    return {**made, **({"": none} if by_ip else {})}


def _service(net: Network, service: VirtualService, tasks: list[Json]) -> Json:
    """A service; its index is its firewall mark on this host, Docker's also without an address.

    Its balancing is a key of plumb's own: without IPVS nothing returns directly.
    """
    direct = net.overlay.direct_return and service.mechanism is Mechanism.IPVS
    means = {
        "Algorithm": str(service.balancing),
        "Mechanism": str(service.mechanism),
        "Return": "direct" if direct else "balancer",
    }
    return {
        "VIP": str(service.ip.ip) if service.ip else "",
        "Ports": [f"Target: {port.target}, Publish: {port.published}" for port in service.ports],
        "LocalLBIndex": service.mark or NO_MARK,
        "Balancing": means if service.ip else None,
        "Tasks": tasks,
    }


def _members(
    net: Network, ends: Sequence[tuple[Endpoint, Sandbox]], remotes: Sequence[RemoteEndpoint]
) -> Iterator[Json]:
    for end, box in ends:
        if not box.role:
            yield _task(box.name, end.id, end.ips, str(net.overlay.vtep or ""))
    for other in remotes:
        if other.names:
            yield _task(other.names[0], other.id, other.ips, str(other.vtep))


def _task(name: str, ident: str, ips: Sequence[IPInterface], host: str) -> Json:
    ip = str(ips[0].ip) if ips else ""
    return {"Name": name, "EndpointID": ident, "EndpointIP": ip, "Info": {"Host IP": host}}
