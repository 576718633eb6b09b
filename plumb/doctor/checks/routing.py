"""Routing on the host: subnets that others have as well, routes that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from plumb.address import IPAddress
from plumb.doctor import remedies, routes
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Remedy, command, joined
from plumb.model.diagnosis.snapshot import NetworkState, RouteState, Snapshot


def _standing(snapshot: Snapshot) -> list[NetworkState]:
    """Bridge networks whose bridge is up."""
    return [
        net
        for net in snapshot.networks
        if net.bridged and (link := snapshot.host.link(net.link)) is not None and link.up
    ]


def subnet_twice(snapshot: Snapshot) -> Iterator[Finding]:
    """Find two networks with one subnet."""
    for one, other in combinations(_standing(snapshot), 2):
        common = [
            (mine, yours)
            for mine in one.subnets
            for yours in other.subnets
            if mine.version == yours.version and mine.overlaps(yours)
        ]
        if common:
            mine, yours = common[0]
            yield Finding(
                "subnet-twice",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the networks {one.name} and {other.name} have one subnet",
                (one.name, other.name),
                (f"{one.name} ({one.link}): {mine}", f"{other.name} ({other.link}): {yours}"),
                "The host has one route to a subnet, so packets for containers of one network go to"
                " the bridge of the other. Both networks were made by hand, or by two engines.",
                (remedies.another_subnet(other),),
            )


def stolen(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers that the host has another route to than by their bridge."""
    twice = {name for each in subnet_twice(snapshot) for name in each.about}
    for net in _standing(snapshot):
        if net.name in twice:
            continue
        for ip in _addresses(snapshot, net):
            found = routes.to(snapshot.host, ip)
            if found is None or (found.type == "unicast" and found.dev != net.link):
                yield _elsewhere(net, ip, found)
                break
            if found.type != "unicast":
                yield _blackhole(net, ip, found)
                break


def _addresses(snapshot: Snapshot, net: NetworkState) -> list[IPAddress]:
    """Containers' addresses in those subnets of which the host has one itself."""
    mine = [own.network for dev, own in snapshot.host.addresses if dev == net.link]
    return [
        own.ip
        for _, end, other in snapshot.ends()
        if other.id == net.id
        for own in end.ips
        if any(own.ip in subnet for subnet in mine)
    ]


def _elsewhere(net: NetworkState, ip: IPAddress, found: RouteState | None) -> Finding:
    subnet = next((one for one in net.subnets if ip in one), None)
    return Finding(
        "route-elsewhere",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the host sends packets for {net.name} elsewhere than to {net.link}",
        (net.name,),
        (f"ip route get {ip}: {found if found else 'no route'}",),
        "A route that is more specific, or in a table that is asked first, wins over the bridge's"
        " own. VPNs set such routes, and take the containers' subnet with them.",
        (_back(net, str(subnet), found), remedies.another_subnet(net)),
    )


def _back(net: NetworkState, subnet: str, found: RouteState | None) -> Remedy:
    """Choose the command that leads packets for a subnet to its bridge again."""
    if found is None:
        route = (subnet, "dev", net.link)
        return command(("ip", "route", "add", *route), ("ip", "route", "del", *route))
    if found.dst.prefixlen and found.table == 254:
        return remedies.without_route(found)
    rule = ("to", subnet, "lookup", "main", "priority", "100")
    return command(("ip", "rule", "add", *rule), ("ip", "rule", "del", *rule))


def _blackhole(net: NetworkState, ip: IPAddress, found: RouteState) -> Finding:
    return Finding(
        "route-blackhole",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"a route of the host discards packets for {net.name}",
        (net.name,),
        (f"ip route get {ip}: {found}",),
        "The route says to drop what goes there, and it wins over the bridge's own. VPNs and"
        " kill switches set such routes.",
        (remedies.without_route(found),),
    )


def overlap(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose subnet is a part of what the host reaches elsewhere."""
    explained = {
        name for each in (*stolen(snapshot), *subnet_twice(snapshot)) for name in each.about
    }
    for net in _standing(snapshot):
        if net.name in explained:
            continue
        for route in snapshot.host.routes:
            if _overlaps(net, route):
                yield _overlapping(net, route)
                break


def _overlaps(net: NetworkState, route: RouteState) -> bool:
    return (
        not routes.to_everywhere(route)
        and route.type == "unicast"
        and route.dev not in ("", net.link, "lo")
        and any(
            route.dst.version == subnet.version and route.dst.overlaps(subnet)
            for subnet in net.subnets
            if not subnet.is_link_local
        )
    )


def _overlapping(net: NetworkState, route: RouteState) -> Finding:
    subnet = next(one for one in net.subnets if one.version == route.dst.version)
    same = route.dst == subnet
    return Finding(
        "subnet-overlap",
        Grade.PROVEN if same else Grade.LIKELY,
        Severity.PROBLEM if same else Severity.WARNING,
        f"{net.name} has {subnet}, which the host reaches by {route.dev}, too",
        (net.name,),
        (f"ip route: {route}", f"{net.name} ({net.link}): {subnet}"),
        "Packets for machines there with such an address go to the containers' bridge instead."
        " Neither the host nor its containers reach them.",
        (
            remedies.another_subnet(net),
            "default-address-pools in daemon.json chooses others for new networks",
        ),
    )


def reverse_path(snapshot: Snapshot) -> Iterator[Finding]:
    """Find links on which the strict reverse path filter drops packets of a second way."""
    host = snapshot.host
    everywhere = host.setting("net/ipv4/conf/all/rp_filter") or "0"
    uplinks = list(dict.fromkeys(route.dev for route in host.defaults(4) if route.dev))
    strict = [
        dev
        for dev in uplinks
        if max(everywhere, host.setting(f"net/ipv4/conf/{dev}/rp_filter") or "0") == "1"
    ]
    dropped = host.counter("IPReversePathFilter")
    several = len({(route.dev) for route in host.defaults(4)}) > 1
    if strict and (dropped or several) and (several or len(strict) < len(uplinks) or dropped > 10):
        yield Finding(
            "rp-filter",
            Grade.LIKELY if dropped else Grade.HINT,
            Severity.WARNING,
            f"{', '.join(strict)} takes only packets whose answers would leave by it",
            ("host",),
            (
                f"sysctl net.ipv4.conf.{{all,{strict[0]}}}.rp_filter: the greater is 1",
                f"nstat -az TcpExtIPReversePathFilter: {dropped}",
                *(f"ip route: {route}" for route in host.defaults(4)),
            ),
            "The strict reverse path filter drops a packet that came in by another link than the"
            " host's route to its source. With several ways to the outside that happens.",
            (
                joined(
                    [
                        remedies.setting(host, f"net/ipv4/conf/{dev}/rp_filter", "2")
                        for dev in strict
                    ]
                ),
            ),
        )
