"""Check between this node and every other one; what cannot be looked at is a fault as well."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from plumb.engine.host import Host
from plumb.errors import PlumbError, Unsupported
from plumb.kernel import cluster_client
from plumb.kernel.cluster.words import ADVICE, NOT_IN_SWARM
from plumb.model.cluster import JOIN_PORT, Node, NodeRole
from plumb.model.cnm import Network
from plumb.probes.peers import managers, tunnel
from plumb.probes.peers.finding import Cause, Fault, PeersReport, PeerState
from plumb.store import codec
from plumb.things.vxlan import Vxlan


def check_peers(host: Host) -> PeersReport:
    """Check what lies between this node and the others of its cluster.

    Raises:
        Unsupported: this host is in no cluster.
        KernelRefused: its cluster process does not answer.
    """
    status = cluster_client.ask(host.layout, "status", {})
    if not status.get("node"):
        raise Unsupported(NOT_IN_SWARM, ADVICE)
    own = codec.decode(Node, status["node"])
    etcd = bool(status.get("etcd"))
    known, away = _peers(host, own, status["managers"])
    faults = (*([away] if away else []), *_mismatches(host, bool(away)))
    return PeersReport(faults, tuple(_state(host, own, peer, etcd) for peer in known))


# -- peers ---------------------------------------------------------------


def _peers(host: Host, own: Node, places: list[str]) -> tuple[list[Node], Fault | None]:
    """The other nodes, as a manager has them; else those known here, and the reason."""
    try:
        found = [codec.decode(Node, one) for one in cluster_client.ask(host.layout, "peers", {})]
    except PlumbError as error:
        fault = Fault(
            Cause.NOT_LOOKED_AT,
            f"no manager tells which nodes there are: {error}; those known here are checked",
            "mend what is found below first, and check again",
        )
        return _known_here(host, own, places), fault
    return [node for node in found if node.id != own.id], None


def _known_here(host: Host, own: Node, places: list[str]) -> list[Node]:
    """Managers, and nodes that have endpoints on networks of this one."""
    found: dict[str, Node] = {}
    for net in host.store.all(Network):
        for end in host.store.remotes(net.id) if net.multi_host else ():
            found[end.node] = Node(end.node, end.node[:12], end.vtep, end.vtep)
    for place in places:
        text, _, port = place.rpartition(":")
        address = ip_address(text.strip("[]"))
        if (address, int(port)) == (own.address, own.port):
            continue
        same = next((node for node in found.values() if node.address == address), None)
        ident = same.id if same else place
        found[ident] = Node(
            ident,
            same.hostname if same else "manager",
            address,
            same.data_path if same else address,
            NodeRole.MANAGER,
            port=int(port or JOIN_PORT),
        )
    return list(found.values())


# -- one peer ---------------------------------------------------------------


def _state(host: Host, own: Node, peer: Node, etcd: bool) -> PeerState:
    looked: list[str] = []
    control = next(_control(host, own, peer, etcd, looked), None)
    data = next(_data(host, peer, looked), None)
    faults = tuple(fault for fault in (control, data) if fault is not None)
    return PeerState(peer, tuple(looked), faults)


def _control(host: Host, own: Node, peer: Node, etcd: bool, looked: list[str]) -> Iterator[Fault]:
    """Yield the faults of a peer's part among managers; what is good goes to `looked`."""
    if peer.role is NodeRole.MANAGER:
        fault = managers.connection_fault(
            peer, peer.port, Cause.MANAGER_PORT, "managers' port"
        ) or managers.tls_fault(peer, host.layout)
        if fault:
            yield fault
        looked.append(f"TCP {peer.port} and its certificate")
        if etcd and own.role is NodeRole.MANAGER:
            port = managers.ETCD_PEER_PORT
            fault = managers.connection_fault(peer, port, Cause.ETCD_PORT, "etcd between managers")
            if fault:
                yield fault
            looked.append(f"TCP {port} (etcd)")
    if not peer.alive:
        yield Fault(
            Cause.LEASE,
            f"lease of {peer.hostname} is gone: it has not renewed it with a manager, and its "
            "endpoints are withdrawn",
            f"see that {peer.hostname} runs and reaches a manager: 'plumb check --peers' there",
        )


def _data(host: Host, peer: Node, looked: list[str]) -> Iterator[Fault]:
    """Yield the faults of the data path to a peer; what is good goes to `looked`."""
    found = tunnel.tunnels(host.store, host.layout, peer)
    if not found and peer.alive:
        yield Fault(
            Cause.NOT_LOOKED_AT,
            f"data path to {peer.hostname}: no endpoint of it is known here that would answer",
            "every node has one on the ingress network: 'plumb network inspect ingress'",
        )
    for way in found:
        fault = tunnel.fault(way)
        if fault:
            yield fault
        looked.append(f"{way.title}, {way.net.overlay.mtu or 1500} bytes")


# -- this node's own part ---------------------------------------------------------------


def _mismatches(host: Host, away: bool) -> Iterator[Fault]:
    """Yield VNIs and ports that differ: in the kernel from the record, here from the cluster."""
    for drift in host.check():
        if isinstance(drift.thing, Vxlan):
            yield Fault(Cause.MISMATCH, str(drift), "run 'plumb repair'")
    for net in [net for net in host.networks() if net.multi_host and not away]:
        try:
            there = host.cluster.network(net.id)
        except PlumbError as error:
            yield Fault(Cause.NOT_LOOKED_AT, f"VNIs of network {net.name}: {error}", error.hint)
            continue
        here = net.overlay
        if there is not None and (here.vnis, here.port) != (there.overlay.vnis, there.overlay.port):
            yield Fault(
                Cause.MISMATCH,
                f"network {net.name} has VNIs {here.vnis} at UDP {here.port} here, and "
                f"{there.overlay.vnis} at UDP {there.overlay.port} in the cluster",
                "remove its containers from this node, so that its part here is built anew",
            )
