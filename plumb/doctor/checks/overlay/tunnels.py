"""VXLAN links of overlay networks: missing, down, another network's, too large for the way."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from plumb.address import IPAddress
from plumb.doctor import remedies, routes
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.overlay_state import OverlayState, VxlanState
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot
from plumb.model.netns_state import Link

ENCAPSULATION = {4: 50, 6: 70}
"""Bytes around a frame's IP packet, by the IP version between the nodes (RFC 7348)."""
ESP = 26
"""Bytes that encryption adds at most."""


def _parts(snapshot: Snapshot) -> Iterator[tuple[NetworkState, OverlayState]]:
    for part in snapshot.overlays:
        net = snapshot.network(part.network)
        if net is not None:
            yield net, part


def broken(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks without a VXLAN link, with one that is down, or with another network's."""
    for net, part in _parts(snapshot):
        if not part.links:
            yield _missing(net, part)
        for link in part.links:
            if net.vnis and link.vni not in net.vnis:
                wanted = " or ".join(map(str, net.vnis))
                yield _differs(net, part, link, f"VNI {link.vni}", wanted)
            elif net.port and link.port != net.port:
                yield _differs(net, part, link, f"UDP port {link.port}", str(net.port))
            elif not link.up:
                yield _down(net, part, link)


def _missing(net: NetworkState, part: OverlayState) -> Finding:
    return Finding(
        "tunnel-missing",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{net.name} has no VXLAN link on this host",
        (net.name,),
        (f"{_inside(part)} ip link show type vxlan: none",),
        "Frames to containers on other nodes leave by that link, so none does. Somebody deleted it,"
        " or another program has the tunnels' UDP port.",
        (remedies.rebuild(net.engine),),
    )


def _down(net: NetworkState, part: OverlayState, link: VxlanState) -> Finding:
    return Finding(
        "tunnel-down",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the VXLAN link {link.name} of {net.name} is down",
        (net.name,),
        (f"{_inside(part)} ip link show {quote(link.name)}: no UP",),
        "Frames to containers on other nodes leave by that link, so none does. The kernel sets it"
        " up only where no other program has the tunnels' UDP port.",
        (f"{_inside(part)} ip link set {quote(link.name)} up", remedies.rebuild(net.engine)),
    )


def _differs(
    net: NetworkState, part: OverlayState, link: VxlanState, found: str, wanted: str
) -> Finding:
    return Finding(
        "tunnel-differs",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the VXLAN link {link.name} of {net.name} has {found}, and the network {wanted}",
        (net.name,),
        (
            (
                f"{_inside(part)} ip -d link show {quote(link.name)}: vxlan id {link.vni} dstport"
                f" {link.port}"
            ),
            f"{net.name}: {wanted}",
        ),
        "A node takes frames for a network by the number in their header, at one port. The other"
        " nodes drop what comes with another one, without an error.",
        (remedies.rebuild(net.engine),),
    )


def _inside(part: OverlayState) -> str:
    return f"nsenter --net={quote(part.netns or 'FILE')}"


def unreached(snapshot: Snapshot) -> Iterator[Finding]:
    """Find other nodes that the host has no route to, and an own end of the tunnels that is gone.

    Nodes are those that containers of the host's networks are on.
    """
    for ip, nets in _nodes(snapshot).items():
        found = routes.to(snapshot.host, ip)
        if found is None or found.type != "unicast":
            yield Finding(
                "tunnel-no-route",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the host has no route to the node at {ip}",
                ("host", *nets),
                (f"ip route get {ip}: {found if found else 'no route'}",),
                "The forwarding table of the VXLAN links names that node, and the kernel drops"
                " frames that it cannot send there. The containers wait for their time limits.",
                (f"ip route add {ip} via ROUTER", f"ping {ip}"),
            )
    own = {ip.ip for _, ip in snapshot.host.addresses}
    for ip in sorted({net.vtep for net in snapshot.used if net.vtep} - own, key=str):
        yield Finding(
            "tunnel-end-gone",
            Grade.PROVEN,
            Severity.PROBLEM,
            f"the host has not the address {ip}, to which other nodes send",
            ("host", *(net.name for net in snapshot.used if net.vtep == ip)),
            (f"ip address: none is {ip}",),
            "A node joins its cluster with an address, and the others send its containers' frames"
            " there. DHCP gave the host another one since, or a link is gone.",
            ("give the host that address again, or have it leave the cluster and join anew",),
        )


def _nodes(snapshot: Snapshot) -> dict[IPAddress, list[str]]:
    """The other nodes' ends of the tunnels, with the names of the networks that lead there."""
    found: dict[IPAddress, list[str]] = {}
    for net, part in _parts(snapshot):
        for ip in sorted({ip for link in part.links for ip in link.vteps}, key=str):
            found.setdefault(ip, []).append(net.name)
    return found


def too_large(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose frames do not fit into packets to another node."""
    for net, part in _parts(snapshot):
        sizes = [link.mtu for link in _links(snapshot, net)]
        ways = [
            (ip, way)
            for ip in sorted({ip for link in part.links for ip in link.vteps}, key=str)
            if (found := routes.to(snapshot.host, ip)) is not None
            and (way := snapshot.host.link(found.dev)) is not None
        ]
        if not sizes or not ways:
            continue
        ip, way = min(ways, key=lambda each: each[1].mtu - ENCAPSULATION[each[0].version])
        around = ENCAPSULATION[ip.version] + ESP * net.encrypted
        if max(sizes) + around > way.mtu:
            yield _too_large(net, max(sizes), around, ip, way)


def _links(snapshot: Snapshot, net: NetworkState) -> list[Link]:
    """The links of containers on a network."""
    found = [
        space.link_with(own.ip)
        for box, end, other in snapshot.ends()
        if other.id == net.id and (space := snapshot.space(box)) is not None
        for own in end.ips
    ]
    return [link for link in found if link is not None]


def _too_large(net: NetworkState, size: int, around: int, ip: IPAddress, way: Link) -> Finding:
    esp = " and encryption" if net.encrypted else ""
    fits = f"com.docker.network.driver.mtu={way.mtu}"  # of the packets between the nodes
    return Finding(
        "tunnel-mtu",
        Grade.LIKELY,
        Severity.WARNING,
        f"containers of {net.name} send {size} bytes, and {way.name} takes {way.mtu} with the"
        f" {around} of VXLAN{esp}",
        (net.name,),
        (
            f"{net.name}: MTU {size}, and {around} bytes around each packet",
            f"ip link show {way.name}, the way to {ip}: MTU {way.mtu}",
        ),
        "Large packets are sent in two pieces, or refused with an ICMP error that the container"
        " may not get: by the kernel's version. Connections open, and hang with large answers.",
        (
            f"ip link set {quote(way.name)} mtu {size + around}, if what lies behind takes that",
            f"{remedies.words_of(net.engine)} network create -d overlay -o {fits} …",
        ),
    )
