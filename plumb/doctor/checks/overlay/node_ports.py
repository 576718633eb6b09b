"""Ports by which nodes of a cluster speak: dropped by this host's own firewall, or not served.

Whether another machine on the path drops them is not seen from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from plumb.address import IPNetwork
from plumb.doctor import firewalls, remedies, routes
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.overlay_state import GOSSIP_PORT, MANAGER_PORT, TUNNEL_PORT
from plumb.model.diagnosis.remedy import Advice
from plumb.model.diagnosis.snapshot import ChainState, NetworkState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind
from plumb.model.netns_state import Listener
from plumb.things.iptables import waiting

DOCKER = "docker"
PortOf = tuple[str, int]
"""A protocol and a port; ESP has none (0)."""
ESP = ("esp", 0)
Node = tuple[str, IPNetwork, IPNetwork | None]
"""Another node: the link that leads there, a network, and its address where that is known."""
CONCERNS = {"input": "what other nodes send to", "output": "what it sends to other nodes at"}


def dropped(snapshot: Snapshot) -> Iterator[Finding]:
    """Find ports of nodes that a rule of the host drops for certain, as they come or leave."""
    nets = [net for net in snapshot.networks if net.multi_host]
    others = _others(snapshot) if nets else []
    needed = _needed(snapshot, nets)
    for state in snapshot.host.chains:
        if state.hook not in CONCERNS or state.nat or state.table in firewalls.OWN_TABLES:
            continue
        chain = firewalls.firewall(snapshot.host, state)
        lost = {
            port: packets
            for port in needed
            if (packets := [each for each in _asked(state, others, port) if _lost(chain, each)])
        }
        if lost:
            sure = not any(
                firewalls.may_accept(chain, each) for packets in lost.values() for each in packets
            )
            yield _dropped(snapshot, nets, chain, list(lost), sure)


def _others(snapshot: Snapshot) -> Sequence[Node]:
    """The other nodes that there is a route to; anybody by a default route where none is known."""
    known = {ip for part in snapshot.overlays for link in part.links for ip in link.vteps}
    if known:
        ways = ((ip, routes.to(snapshot.host, ip)) for ip in sorted(known, key=str))
        return [
            (way.dev, ip_network(ip), ip_network(ip))
            for ip, way in ways
            if way is not None and way.dev
        ]
    uplinks = firewalls.uplinks(snapshot, 4)
    addresses = (own for own in snapshot.host.addresses if own[0] in uplinks)
    return [(dev, ip.network, None) for dev, ip in addresses if ip.version == 4][:1]


def _asked(state: ChainState, others: Sequence[Node], port: PortOf) -> Iterator[Traffic]:
    """Packets between this node and each of the others, as they pass one chain."""
    for dev, subnet, node in others:
        asked = Traffic(TrafficKind.PROXIED, "", subnet, frozenset({dev}), *port)
        yield asked._replace(source=node) if state.hook == "input" else asked._replace(goal=node)


def _lost(chain: ForeignFirewall, packets: Traffic) -> bool:
    return chain.concerns(packets.subnet.version) and chain.refuses(packets)


def _needed(snapshot: Snapshot, nets: Sequence[NetworkState]) -> list[PortOf]:
    """Ports that this node needs for its networks."""
    found = {("udp", net.port or TUNNEL_PORT) for net in nets if not net.encrypted}
    found |= {ESP for net in nets if net.encrypted}
    if any(net.engine == DOCKER for net in nets):
        found |= {("tcp", GOSSIP_PORT), ("udp", GOSSIP_PORT)}
    if _at(snapshot, "tcp", MANAGER_PORT):
        found.add(("tcp", MANAGER_PORT))  # of a manager: a worker asks, and serves nobody
    return sorted(found)


def _at(snapshot: Snapshot, protocol: str, port: int) -> list[Listener]:
    """Sockets of the host at a port that others may reach."""
    return [each for each in snapshot.host.listening(protocol, port) if not each.ip.is_loopback]


def _words(port: PortOf) -> str:
    protocol, number = port
    return f"{number}/{protocol}" if number else "ESP"


def _dropped(
    snapshot: Snapshot,
    nets: Sequence[NetworkState],
    chain: ForeignFirewall,
    lost: Sequence[PortOf],
    sure: bool,
) -> Finding:
    """A drop hurts for certain where other nodes are known; a node may be alone.

    It is likely where another rule may accept the packets, by a set or a mark.
    """
    others = sorted(
        {str(ip) for part in snapshot.overlays for one in part.links for ip in one.vteps}
    )
    return Finding(
        "overlay-ports",
        (Grade.PROVEN if sure else Grade.LIKELY) if others else Grade.HINT,
        Severity.PROBLEM if others else Severity.WARNING,
        f"the host drops {CONCERNS[chain.hook]} {', '.join(map(_words, lost))}",
        ("host", *(net.name for net in nets)),
        (
            f"{chain}: a rule drops it",
            f"other nodes that the VXLAN links know: {', '.join(others) or 'none'}",
        ),
        "Overlay networks need the UDP port of their tunnels (ESP, if they are encrypted), Docker's"
        " nodes 7946 for their news, and managers TCP port 2377. Containers on other nodes are not"
        " reached.",
        tuple(_accepting(chain, port) for port in lost),
    )


def _accepting(chain: ForeignFirewall, port: PortOf) -> Advice:
    """The rule that lets a port's packets pass, in the chain that drops them."""
    way = "-s" if chain.hook == "input" else "-d"
    protocol, number = port
    if chain.tool == "nft" or not remedies.plain((chain.table, chain.chain)):
        return f"have {chain} accept {_words(port)} {'from' if way == '-s' else 'to'} other nodes"
    table = "" if chain.table == "filter" else f"-t {chain.table} "
    return (
        f"{waiting(chain.tool)} {table}-I {chain.chain} -p {protocol}"
        + (f" --dport {number}" if number else "")
        + f" {way} ADDRESS_OF_THE_OTHER_NODES -j ACCEPT"
    )


def silent(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a node of Docker's whose gossip is served by nobody, or by another program."""
    nets = [net for net in snapshot.used if net.multi_host and net.engine == DOCKER]
    at = {protocol: _at(snapshot, protocol, GOSSIP_PORT) for protocol in ("tcp", "udp")}
    lost = [
        protocol
        for protocol, found in at.items()
        if all(each.who and not each.who.startswith("dockerd,") for each in found)
    ]
    if not nets or not lost:
        return
    held = [
        f"ss -lnp: {protocol} {GOSSIP_PORT}: {each.who}"
        for protocol in lost
        for each in at[protocol]
    ]
    ports = ", ".join(f"{GOSSIP_PORT}/{protocol}" for protocol in lost)
    yield Finding(
        "overlay-port-silent",
        Grade.LIKELY,
        Severity.PROBLEM,
        f"dockerd does not listen at {ports}, by which nodes tell each other of containers",
        ("host", *(net.name for net in nets)),
        tuple(held) or (f"ss -ln: nobody at {ports}",),
        "Without this news the nodes do not learn where containers of an overlay network are, so"
        " frames for them go nowhere. Another program may have had the port when dockerd started.",
        ("docker info, and the log of dockerd", remedies.rebuild(DOCKER)),
    )
