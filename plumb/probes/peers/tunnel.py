"""Data path to a peer: pings between the balancers of both nodes on a network that both have.

Every node has a balancer, with an address of its own, on each network that it has a part of. A
ping from one to the other goes through both hosts' VXLAN links as every container's packets do. If
none is answered, what was observed between the hosts meanwhile shows on which side it was lost:

    observed                                     cause
    nothing leaves                               this host's firewall
    an answer arrives, of the same VNI           this host's firewall
    an answer arrives, of another VNI or port    the peer's VXLAN link is another one
    nothing arrives, port unreachable            nobody listens at that port there
    nothing arrives, the peer answers pings      the port is blocked, there or between
    nothing arrives at all                       the peer is unreachable
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from plumb.address import IPAddress, family
from plumb.drivers.overlay import inner_mtu, segment_of
from plumb.frozen import frozen
from plumb.kernel.net.probe_socket import RECVERR
from plumb.model.cluster import Node, balancer_id
from plumb.model.cnm import Network, Sandbox
from plumb.model.paths import Layout
from plumb.probes.path_mtu import Prober, path_mtu
from plumb.probes.peers.finding import Cause, Fault
from plumb.probes.peers.packet_tap import Observed, PacketTap
from plumb.probes.traffic.socket_errors import words
from plumb.store import Store

SECONDS = 0.7
"""Time for each answer."""
SHORT = 84
"""Bytes of a ping that fits everywhere."""


@frozen
class Tunnel:
    """Way to a peer through a network.

    Attributes:
        net: the network, which has a part on both nodes.
        place: the namespace's file of this node's balancer.
        echo: the address of the peer's balancer.
        own, peer: the ends of the tunnel.
    """

    net: Network
    place: str
    echo: IPAddress
    own: IPAddress
    peer: IPAddress

    @property
    def vni(self) -> int:
        """VNI of the segment that both balancers are in."""
        return segment_of(self.net, self.echo).vni

    @property
    def title(self) -> str:
        """Name of the way, as "UDP 4789 (VNI 4097, network n1)"."""
        way = "ESP (IP protocol 50)" if self.net.overlay.encrypted else f"UDP {self.port}"
        return f"{way} (VNI {self.vni}, network {self.net.name})"

    @property
    def port(self) -> int:
        """UDP port of VXLAN."""
        return self.net.overlay.port


def tunnels(store: Store, layout: Layout, peer: Node) -> list[Tunnel]:
    """List the ways to a peer, the plain ones first."""
    found = []
    for net in store.all(Network):
        own = net.overlay.vtep if net.multi_host else None
        if own is None:
            continue
        for end in store.endpoints(network=net.id):
            box = store.get(Sandbox, end.sandbox)
            remote = next(
                (one for one in store.remotes(net.id) if one.id == balancer_id(net.id, peer.id)),
                None,
            )
            if box is not None and box.role and remote is not None and remote.ip is not None:
                found.append(Tunnel(net, layout.place(box), remote.ip.ip, own, remote.vtep))
    return sorted(found, key=lambda tunnel: tunnel.net.overlay.encrypted)


def fault(tunnel: Tunnel) -> Fault | None:
    """Find the fault of a way: what blocks it, or a length that does not fit."""
    with PacketTap(tunnel.own, tunnel.peer) as tap:
        answered = ping(tunnel, SHORT)
        observed = tap.read()
    return length_fault(tunnel) if answered else _blocked(tunnel, observed)


def ping(tunnel: Tunnel, length: int) -> bool:
    """Ping the peer's balancer by a packet of that length in bytes; True if it answers."""
    prober = Prober(tunnel.place, tunnel.echo, SECONDS)
    try:
        return prober.send(length) is True
    finally:
        prober.close()


def length_fault(tunnel: Tunnel) -> Fault | None:
    """Find that the longest packets of a network do not fit into packets between the hosts."""
    need = tunnel.net.overlay.mtu or 1500
    path = path_mtu("", tunnel.peer, SECONDS)
    if path.mtu >= need or (not path.mtu and ping(tunnel, inner_mtu(tunnel.net))):
        return None
    inner = inner_mtu(tunnel.net)
    passes = f"of at most {path.mtu} bytes" if path.mtu else "shorter"
    by = f", says {path.by}" if path.by else ""
    return Fault(
        Cause.MTU,
        f"packets to {tunnel.peer} may be {passes}{by}; network {tunnel.net.name} has MTU {inner} "
        f"and needs {need} between the hosts",
        f"raise the MTU of the links between the hosts to {need}, or make the network with "
        f"-o com.docker.network.driver.mtu={path.mtu or 'what passes'}",
    )


# -- the cause ---------------------------------------------------------------


def _blocked(tunnel: Tunnel, observed: Sequence[Observed]) -> Fault:
    known = explained(tunnel, observed)
    if known is not None:
        return known
    refusal = "" if tunnel.net.overlay.encrypted else refused(tunnel.peer, tunnel.port)
    if refusal:
        return Fault(
            _cause(tunnel),
            f"{tunnel.title} to {tunnel.peer}: {refusal}: nobody listens at that port there, or a "
            "firewall rejects it",
            "'plumb repair' there builds its VXLAN links anew; see its firewall, and any between",
        )
    if not path_mtu("", tunnel.peer, SECONDS).mtu:
        return Fault(
            Cause.UNREACHABLE,
            f"{tunnel.peer} answers neither a ping nor {tunnel.title}",
            "see that the host is up, and that a route leads there",
        )
    return Fault(
        _cause(tunnel),
        f"{tunnel.title} to {tunnel.peer} is blocked: it leaves this host, the peer answers pings, "
        "and nothing comes back",
        f"open {_way(tunnel)} in both directions, in the peer's firewall and any between; "
        "run 'plumb check --peers' there as well",
    )


def explained(tunnel: Tunnel, observed: Sequence[Observed]) -> Fault | None:
    """Tell the cause of an unanswered ping from what was observed on this host's links alone."""
    encrypted = tunnel.net.overlay.encrypted
    sent = [one for one in observed if one.leaves and one.esp == encrypted]
    came = [one for one in observed if not one.leaves and one.esp == encrypted]
    right = [one for one in came if encrypted or (one.port, one.vni) == (tunnel.port, tunnel.vni)]
    if not [one for one in sent if encrypted or one.port == tunnel.port]:
        return Fault(
            _cause(tunnel),
            f"{tunnel.title} to {tunnel.peer} does not leave this host: its firewall drops it, or "
            "its VXLAN link is not as recorded",
            f"accept {_way(tunnel)} in the hook output; 'plumb check' compares the links",
        )
    if right:
        return Fault(
            _cause(tunnel),
            f"{tunnel.title}: answers of {tunnel.peer} arrive, and this host's firewall drops them",
            f"accept {_way(tunnel)} in the hook input of this host",
        )
    if came:
        return Fault(
            Cause.MISMATCH,
            f"{tunnel.peer} sends to UDP {came[0].port} with VNI {came[0].vni}, and not to "
            f"UDP {tunnel.port} with VNI {tunnel.vni} (network {tunnel.net.name})",
            "run 'plumb repair' there",
        )
    return None


def _cause(tunnel: Tunnel) -> Cause:
    return Cause.ESP if tunnel.net.overlay.encrypted else Cause.DATA_PATH_PORT


def _way(tunnel: Tunnel) -> str:
    return "ESP (IP protocol 50)" if tunnel.net.overlay.encrypted else f"UDP port {tunnel.port}"


def refused(peer: IPAddress, port: int) -> str:
    """Send a datagram that VXLAN ignores; the ICMP error that comes back in words, or "".

    A VXLAN packet's own ICMP errors reach nobody: its socket is the kernel's.
    """
    with socket.socket(family(peer.version), socket.SOCK_DGRAM) as asked:
        asked.setsockopt(*RECVERR[peer.version], 1)
        try:
            asked.connect((str(peer), port))
            asked.send(bytes(8))
            poll = select.poll()
            poll.register(asked, select.POLLERR)
            if poll.poll(SECONDS * 1000):
                asked.recv(1, socket.MSG_DONTWAIT)
        except OSError as error:
            return words(error.errno or 0)
    return ""
