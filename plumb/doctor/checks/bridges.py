"""Bridges and their ports: a link that is gone, down, or no port of its bridge."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from plumb.doctor import remedies
from plumb.doctor.checks.ports import proxied
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Remedy, RemedyStep, command
from plumb.model.diagnosis.snapshot import ContainerState, EndState, NetworkState, Snapshot
from plumb.model.netns_state import FORWARDING, STATES, Link
from plumb.model.ports import Port

CHOSEN = re.compile(r"(?:plumb|docker|podman|cni-podman|cni|nerdctl)\d+|br-[0-9a-f]{12}")
"""Names of bridges that engines choose."""


def missing(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose bridge is gone."""
    for net in snapshot.bridges:
        if snapshot.host.link(net.link) is None:
            yield Finding(
                "bridge-missing",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the bridge {net.link} of {net.name} is gone",
                (net.name,),
                (f"ip link show {net.link}: does not exist",),
                "The containers' links lead to no bridge. Somebody deleted it, and its address and"
                " routes went with it.",
                (remedies.rebuild(net.engine),),
            )


def down(snapshot: Snapshot) -> Iterator[Finding]:
    """Find bridges that are down, or have no port that is up."""
    for net in snapshot.bridges:
        bridge = snapshot.host.link(net.link)
        if bridge is not None and not bridge.up:
            yield Finding(
                "bridge-down",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the bridge {net.link} of {net.name} is down",
                (net.name,),
                (f"ip link show {net.link}: no UP",),
                "A bridge that is down passes no frame, and the host's routes to it are gone."
                " A manager of networks, as NetworkManager, may have taken it down.",
                (remedies.link_up(net.link),),
            )


def _host_end(snapshot: Snapshot, box: ContainerState, end: EndState) -> tuple[Link, Link] | None:
    """The container's link of an endpoint, and its veth's other end in the host."""
    space = snapshot.space(box)
    inner = next((found for ip in end.ips if space and (found := space.link_with(ip.ip))), None)
    if inner is None or space is None:
        return None
    for outer, name, other in snapshot.host.peers:
        if (name, other) == (space.name, inner.name):
            link = snapshot.host.link(outer)
            return (inner, link) if link is not None else None
    return None


def off_bridge(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose link is no port of their network's bridge, or a port that is down."""
    for box, end, net in snapshot.ends():
        found = _host_end(snapshot, box, end) if net.bridged else None
        bridge = snapshot.host.link(net.link)
        if found is None or bridge is None:
            continue
        inner, outer = found
        if outer.master != bridge.index:
            master = snapshot.host.master(outer)
            yield _off_bridge(box, net, inner, outer, master.name if master else "")
        elif not outer.up:
            yield _port_down(box, net, outer)
        elif (
            outer.port is not None
            and bridge.up
            and outer.carrier
            and outer.port.state != FORWARDING
        ):
            yield _blocking(box, net, outer)


def hairpin_off(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers that do not reach their own published port, without Docker's proxy."""
    for box, end, net in snapshot.ends():
        ports = [port for port in end.ports if port.protocol == "tcp" and port.host_ip.version == 4]
        found = _host_end(snapshot, box, end) if ports and box.engine == "docker" else None
        if found is None or net.internal or _proxied(snapshot, ports):
            continue
        outer = found[1]
        if outer.port is not None and not outer.port.hairpin:
            line = ("bridge", "link", "set", "dev", outer.name, "hairpin")
            yield Finding(
                "hairpin-off",
                Grade.PROVEN,
                Severity.WARNING,
                f"{box.name} does not reach its own published port {ports[0].host_port}",
                (box.name, net.name),
                (
                    f"bridge -d link show dev {outer.name}: hairpin off",
                    f"ss -ln: nobody at port {ports[0].host_port}",
                ),
                "Without docker-proxy the packet must leave the bridge by the port that it came in"
                " by, which a bridge does in hairpin mode alone.",
                (command((*line, "on"), (*line, "off")), remedies.restart(net.engine, box.name)),
            )


def _proxied(snapshot: Snapshot, ports: Sequence[Port]) -> bool:
    """True if docker-proxy serves one of the ports."""
    return any(proxied(snapshot.host, port.host_port) for port in ports)


def _off_bridge(
    box: ContainerState, net: NetworkState, inner: Link, outer: Link, other: str
) -> Finding:
    """A port that is another bridge's, or none's: `other` is empty then."""
    return Finding(
        "veth-off-bridge",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name}'s link {outer.name} is no port of {net.link}",
        (box.name, net.name),
        (f"ip link show {outer.name}: no master {net.link}", f"{box.name}: {inner.name} there"),
        "What the container sends ends at the host's end of its veth pair. Somebody took it off the"
        " bridge, or moved it to another one.",
        (
            command(
                ("ip", "link", "set", outer.name, "master", net.link),
                ("ip", "link", "set", outer.name, *(("master", other) if other else ("nomaster",))),
            ),
            remedies.restart(net.engine, box.name),
        ),
    )


def _port_down(box: ContainerState, net: NetworkState, outer: Link) -> Finding:
    return Finding(
        "veth-down",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name}'s link {outer.name} in the host is down",
        (box.name, net.name),
        (f"ip link show {outer.name}: no UP",),
        "A veth pair passes frames only while both ends are up. The container sees NO-CARRIER.",
        (remedies.link_up(outer.name),),
    )


def _blocking(box: ContainerState, net: NetworkState, outer: Link) -> Finding:
    was = outer.port.state if outer.port else 0
    state = STATES.get(was, "?")
    stp = ("ip", "link", "set", net.link, "type", "bridge", "stp_state")
    port = ("bridge", "link", "set", "dev", outer.name, "state")
    return Finding(
        "port-blocking",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the bridge {net.link} passes no frames of {box.name}: its port is {state}",
        (box.name, net.name),
        (f"bridge link show dev {outer.name}: state {state}",),
        "The spanning tree protocol has not put the port into the state forwarding. Of a bridge"
        " for containers it is not needed, and a container's port needs 30 s with it.",
        (
            Remedy(
                (
                    RemedyStep((*stp, "0"), ((*stp, "1"),)),
                    RemedyStep((*port, str(FORWARDING)), ((*port, str(was)),)),
                )
            ),
        ),
    )


def left_behind(snapshot: Snapshot) -> Iterator[Finding]:
    """Find ports of engines' bridges with no container behind them."""
    if snapshot.missing:
        return  # the containers of an engine that did not answer are not known
    known = {outer for outer, _, _ in snapshot.host.peers}
    for net in snapshot.networks:
        bridge = snapshot.host.link(net.link) if net.bridged else None
        for port in snapshot.host.ports(bridge) if bridge else ():
            here = port.kind == "veth" and port.peer_ns is None
            if port.kind == "veth" and port.name not in known and (here or not port.carrier):
                yield Finding(
                    "veth-left-behind",
                    Grade.LIKELY,
                    Severity.WARNING,
                    f"{port.name} is a port of {net.link}, and leads to no container",
                    (net.name,),
                    (
                        f"ip link show {port.name}: "
                        + ("its peer is in the host" if here else "NO-CARRIER"),
                    ),
                    "An engine that was killed leaves its half of a veth pair behind. It does no"
                    " harm until its name or address is needed again.",
                    (command(("ip", "link", "del", port.name)),),
                )


def managed(snapshot: Snapshot) -> Iterator[Finding]:
    """Find bridges of engines, and their ports, that systemd-networkd configures as its own."""
    host, files = snapshot.host, dict(snapshot.machine.managed)
    for net in snapshot.bridges:
        bridge = host.link(net.link)
        ports = host.ports(bridge) if bridge is not None else ()
        veths = [port for port in ports if port.kind == "veth"]
        # A bridge with a link of the host's, or with a name of somebody's, may be networkd's.
        made = CHOSEN.fullmatch(net.link) and len(veths) == len(ports)
        links = [bridge, *veths] if bridge is not None and made else veths
        taken = [link for link in links if link.index in files]
        if taken:
            matched = " ".join([net.link] * (taken[0] is bridge) + ["veth*"])
            names = ", ".join(link.name for link in taken)
            read = tuple(
                f"/run/systemd/netif/links/{link.index} ({link.name}): "
                + (files[link.index] or "configured")
                for link in taken
            )
            yield Finding(
                "networkd-manages",
                Grade.HINT,
                Severity.WARNING,
                f"systemd-networkd configures links of {net.name}: {names}",
                (net.name,),
                read,
                "A .network file matches them, so networkd sets their addresses, forwarding and"
                " bridge, too, and takes away what it has not set. The engine has made them.",
                (
                    (
                        f"a .network file that comes before it, with [Match] Name={matched}"
                        " and [Link] Unmanaged=yes; then networkctl reload"
                    ),
                ),
            )
