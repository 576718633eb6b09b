"""Addresses that two links have: of containers of one network, or of a container and its bridge."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.address import IPAddress
from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ContainerState, NetworkState, Snapshot
from plumb.model.netns_state import Link

Owner = tuple[ContainerState, Link]


def _links(snapshot: Snapshot, net: NetworkState) -> list[Owner]:
    """The containers' links on a network, by the veth pairs that are ports of its bridge."""
    bridge = snapshot.host.link(net.link)
    ports = {link.name for link in snapshot.host.ports(bridge)} if bridge else set()
    boxes = {box.place: box for box in reversed(snapshot.containers)}
    found = []
    for outer, name, inner in snapshot.host.peers:
        box = boxes.get(name)
        space = snapshot.space(box) if box and outer in ports else None
        link = space.link(inner) if space else None
        if box is not None and link is not None:
            found.append((box, link))
    return found


def address(snapshot: Snapshot) -> Iterator[Finding]:
    """Find addresses that two containers of a network have, or a container and the bridge."""
    for net in snapshot.bridges:
        bridges = {own.ip for dev, own in snapshot.host.addresses if dev == net.link}
        owners: dict[IPAddress, ContainerState | None] = dict.fromkeys(bridges)
        for box, link in _links(snapshot, net):
            space = snapshot.space(box)
            for dev, own in space.addresses if space else ():
                if dev != link.name or own.ip.is_link_local:
                    continue
                if own.ip in owners:
                    yield _twice(net, own.ip, owners[own.ip], box)
                owners.setdefault(own.ip, box)


def _twice(
    net: NetworkState, ip: IPAddress, first: ContainerState | None, second: ContainerState
) -> Finding:
    """Two have one address; the one whose engine did not give it that is at fault."""
    if first is not None and not any(own.ip == ip for end in first.ends for own in end.ips):
        first, second = second, first
    other = first.name if first else f"the bridge {net.link}"
    return Finding(
        "duplicate-address",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{other} and {second.name} both have the address {ip} on {net.name}",
        (*((first.name,) if first else ()), second.name, net.name),
        (f"{other}: {ip}", f"{second.name}: {ip}"),
        "Whoever answers ARP first gets the packets, so connections work now and then. An address"
        " was set by hand, or outside of the engine's allotment.",
        (remedies.restart(second.engine, second.name),),
    )


def mac(snapshot: Snapshot) -> Iterator[Finding]:
    """Find MAC addresses that two links on a bridge have."""
    for net in snapshot.bridges:
        bridge = snapshot.host.link(net.link)
        owners: dict[str, str] = {bridge.mac: f"the bridge {net.link}"} if bridge else {}
        for box, link in _links(snapshot, net):
            if link.mac in owners and link.mac:
                yield Finding(
                    "duplicate-mac",
                    Grade.PROVEN,
                    Severity.PROBLEM,
                    f"{owners[link.mac]} and {box.name} both have the MAC {link.mac} on {net.name}",
                    (owners[link.mac], box.name, net.name),
                    (f"{owners[link.mac]}: {link.mac}", f"{box.name}: {link.name} {link.mac}"),
                    "A bridge learns a MAC at the port where it last came in, so frames for one go"
                    " to the other. Containers were given one MAC, or a namespace was copied.",
                    (remedies.restart(box.engine, box.name),),
                )
            owners.setdefault(link.mac, box.name)
