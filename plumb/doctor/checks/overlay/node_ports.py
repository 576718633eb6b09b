"""Ports by which nodes of a cluster speak: dropped by this host's own firewall, or not served.

Whether another machine on the path drops them is not seen from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumb.doctor import firewalls
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.overlay_state import GOSSIP_PORT, MANAGER_PORT, TUNNEL_PORT
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind
from plumb.model.netns_state import Listener

DOCKER = "docker"
PortOf = tuple[str, int]
"""A protocol and a port; ESP has none (0)."""
ESP = ("esp", 0)
CONCERNS = {"input": "what other nodes send to", "output": "what it sends to other nodes at"}


def dropped(snapshot: Snapshot) -> Iterator[Finding]:
    """Find ports of nodes that a rule of the host drops for certain, as they come or leave."""
    nets = [net for net in snapshot.networks if net.multi_host]
    uplinks = firewalls.uplinks(snapshot, 4)
    anybody = next((ip.network for dev, ip in snapshot.host.addresses if dev in uplinks), None)
    if not nets or anybody is None:
        return
    needed = _needed(snapshot, nets)
    for state in snapshot.host.chains:
        if state.hook not in CONCERNS or state.nat or state.table in firewalls.OWN_TABLES:
            continue
        chain = firewalls.firewall(snapshot.host, state)
        lost = [
            (protocol, port)
            for protocol, port in needed
            if chain.concerns(4)
            and chain.refuses(Traffic(TrafficKind.PROXIED, "", anybody, uplinks, protocol, port))
        ]
        if lost:
            yield _dropped(snapshot, nets, chain, lost)


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
    return [
        each
        for each in snapshot.host.listeners
        if (each.protocol, each.port) == (protocol, port) and not each.ip.is_loopback
    ]


def _words(port: PortOf) -> str:
    protocol, number = port
    return f"{number}/{protocol}" if number else "ESP"


def _dropped(
    snapshot: Snapshot, nets: Sequence[NetworkState], chain: ForeignFirewall, lost: Sequence[PortOf]
) -> Finding:
    """A drop hurts for certain where other nodes are known; a node may be alone."""
    others = sorted(
        {str(ip) for part in snapshot.overlays for one in part.links for ip in one.vteps}
    )
    way = "-s" if chain.hook == "input" else "-d"
    return Finding(
        "overlay-ports",
        Grade.PROVEN if others else Grade.HINT,
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
        tuple(
            f"iptables -w -I {chain.hook.upper()} -p {protocol}"
            + (f" --dport {port}" if port else "")
            + f" {way} ADDRESS_OF_THE_OTHER_NODES -j ACCEPT"
            for protocol, port in lost
        ),
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
        ("docker info, and the log of dockerd", "systemctl restart docker"),
    )
