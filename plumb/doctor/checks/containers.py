"""Links, addresses and routes inside containers."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies, routes
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import (
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    Snapshot,
)

Place = tuple[ContainerState, EndState, NetworkState, NamespaceState]


def _places(snapshot: Snapshot) -> Iterator[Place]:
    """Iterate over the containers' places in networks whose namespace was read."""
    for box, end, net in snapshot.ends():
        space = snapshot.space(box)
        if space is not None and box.place == space.name and box.place != "host":
            yield box, end, net, space


def address_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers that have not the address that their engine gave them."""
    for box, end, net, space in _places(snapshot):
        if end.ip is not None and space.link_with(end.ip.ip) is None:
            yield Finding(
                "address-missing",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"{box.name} has not the address {end.ip.ip} that it was given on {net.name}",
                (box.name, net.name),
                tuple(f"{box.name}: {dev} {ip}" for dev, ip in space.addresses if dev != "lo")
                or (f"{box.name}: no address",),
                "Names and published ports lead to the address that the engine gave, and nobody has"
                " it. A program in the container removed it, or the link is gone.",
                (remedies.restart(net.engine, box.name),),
            )


def link_down(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers' links that are down."""
    for box, end, net, space in _places(snapshot):
        link = space.link_with(end.ip.ip) if end.ip else None
        if link is not None and not link.up:
            yield Finding(
                "link-down",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"{box.name}'s link {link.name} is down",
                (box.name, net.name),
                (f"{box.name}: ip link show {link.name}: no UP",),
                "Nothing comes in or goes out by a link that is down, and its routes are gone. A"
                " program in the container may set it so with the capability NET_ADMIN.",
                (
                    remedies.restart(net.engine, box.name),
                    remedies.inside(
                        net.engine,
                        box.name,
                        space.name,
                        ("ip", "link", "set", link.name, "up"),
                        ("ip", "link", "set", link.name, "down"),
                    ),
                ),
            )


def no_default_route(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers that cannot answer anybody outside of their networks."""
    # The routes of a link go with it, and with its address.
    reported = {each.about[0] for each in (*link_down(snapshot), *address_missing(snapshot))}
    for box, _, net, space in _places(snapshot):
        nets = [snapshot.network(each.network) for each in box.ends]
        gateways = [ip for each in nets if each and not each.internal for ip in each.gateways]
        if box.name in reported or not net.bridged or not any(ip.version == 4 for ip in gateways):
            continue
        reported.add(box.name)
        direct = _without_a_gateway(snapshot, box, space)
        wrong = [
            route
            for route in space.defaults(4)
            if route.via not in gateways and (route.via or route.dev not in direct)
        ]
        if not any(routes.to_everywhere(one) for one in space.routes if one.dst.version == 4):
            yield _no_route(box, net, [str(ip) for ip in gateways if ip.version == 4])
        elif wrong and len(wrong) == len(space.defaults(4)):
            given = {end.ip.ip for end in box.ends if end.ip is not None}
            theirs = {dev for dev, ip in space.addresses if ip.ip in given}
            yield Finding(
                "wrong-gateway",
                # By a link that no engine has given, it is a tunnel's in all likelihood.
                Grade.LIKELY if wrong[0].dev in theirs else Grade.HINT,
                Severity.WARNING,
                f"{box.name}'s default route leads to {wrong[0].via or wrong[0].dev}",
                (box.name, net.name),
                (f"{box.name}: ip route: {wrong[0]}", f"gateways: {', '.join(map(str, gateways))}"),
                "None of the container's networks has that gateway, so it reaches nobody outside"
                " unless a router is there. A VPN in the container may have set it.",
                (remedies.restart(net.engine, box.name),),
            )


def _without_a_gateway(snapshot: Snapshot, box: ContainerState, space: NamespaceState) -> set[str]:
    """The links of a container on networks of a LAN: ipvlan's L3 modes route by the link alone."""
    links = [
        space.link_with(end.ip.ip)
        for end in box.ends
        if end.ip is not None
        and (net := snapshot.network(end.network)) is not None
        and not net.bridged
    ]
    return {link.name for link in links if link is not None}


def _no_route(box: ContainerState, net: NetworkState, gateways: list[str]) -> Finding:
    route = ("default", "via", gateways[0])
    return Finding(
        "no-default-route",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name} has no default route",
        (box.name, net.name),
        (f"{box.name}: ip route: no default", f"{net.name}: gateway {gateways[0]}"),
        "The container reaches only its own subnets, and cannot answer clients of its published"
        " ports. Its route was deleted, or went with a link that was down.",
        (
            remedies.inside(
                net.engine,
                box.name,
                box.place,
                ("ip", "route", "add", *route),
                ("ip", "route", "del", *route),
            ),
            remedies.restart(net.engine, box.name),
        ),
    )
