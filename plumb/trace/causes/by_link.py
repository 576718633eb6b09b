"""Causes on links: a veth pair or a bridge is missing, down or misconfigured.

Such a packet just stops: no rule drops it, and often the kernel reports no drop reason either.
Often the sender does not even send it, since no neighbour answers its ARP request or neighbour
solicitation. So plumb examines the links between the last crossing and the next expected one.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.targets import Member
from plumb.model.netns_state import FORWARDING, STATES, Facts, RouteAnswer
from plumb.model.observations import HOST
from plumb.trace.causes import by_neighbour, owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import within
from plumb.trace.headers import Direction
from plumb.trace.path import Ending

UNREACHABLE = ("host unreachable", "address unreachable", "network unreachable")


def find(case: Case) -> Cause | None:
    """Find a cause on the links of both ends."""
    unreachable = case.end.ending is Ending.REJECTED and case.end.error in UNREACHABLE
    if case.end.line is not None or not (case.gone or unreachable):
        return None
    return next((cause for cause in _causes(case) if cause is not None), None)


def _causes(case: Case) -> Iterator[Cause | None]:
    yield _by_design(case)
    for ip in _ends(case):
        holder = case.holder(ip)
        if holder is not None:
            yield _bridge(case, holder[2])
            yield from _veth(case, *holder)
            yield _gateway(case, ip, holder[2])
    yield _hairpin(case)
    yield from _ports(case)
    yield by_neighbour.no_neighbour(case)


def _ends(case: Case) -> tuple[IPAddress, ...]:
    """Addresses between which the packet was lost, its destination first."""
    ends = [case.goal]
    if case.packet is not None:
        ends.append(case.packet.src)
    mine = next(
        (
            own.ip
            for member in case.members
            if member.place == case.source
            for end, _ in member.ends
            for own in end.ips
            if own.version == case.ip.version
        ),
        None,
    )
    return tuple(dict.fromkeys([*ends, *([mine] if mine else [])]))


# -- by design -----------------------------------------------------------------


def _by_design(case: Case) -> Cause | None:
    """Find a cause in the driver's design.

    The kernel passes no frames between a parent and the macvlan or ipvlan links on it, nor between
    private links of one parent.
    """
    if case.end.way is not Direction.THERE:
        return None
    to = case.holder(case.goal)
    mine = next(
        (
            (member, end, net)
            for member in case.members
            if member.place == case.source and case.source.name != HOST
            for end, net in member.ends
            if net.on_lan
        ),
        None,
    )
    if to is not None and case.source.name == HOST and to[2].on_lan:
        return _not_its_own(to[2], f"{HOST} does not reach {to[0].box.name}")
    if mine is not None and case.host.has(case.goal) and to is None:
        return _not_its_own(mine[2], f"{mine[0].box.name} does not reach {HOST}")
    if mine is None or to is None or mine[2].id != to[2].id:
        return None
    mode, option = mine[2].own.sharing, mine[2].own.sharing_option
    if mode == "private":
        return Cause(
            "private-links",
            f"{mine[2].name}'s links are private: none of them reaches another",
            (f"{mine[2].name}: -o {option}={mode}",),
            (f"the network with -o {option}=bridge",),
        )
    if mode == "vepa":
        return Cause(
            "vepa",
            f"{mine[2].name}'s links reach each other only if the switch outside sends frames back"
            " to where they came from",
            (f"{mine[2].name}: -o {option}={mode}",),
            (
                "turn on hairpin (reflective relay) at the switch's port",
                f"the network with -o {option}=bridge",
            ),
            sure=False,
        )
    return None


def _not_its_own(net: Network, who: str) -> Cause:
    return Cause(
        "own-parent",
        f"{who}: what the parent {net.link} sends goes out on the wire,"
        f" never to the {net.driver} links that are made on it",
        (f"{net.name}: {net.driver} on {net.link}",),
        (
            (
                f"a {net.driver} link of the host's own on {net.link},"
                " with an address and a route to the containers"
            ),
            "a bridge network beside it, for what host and containers say to each other",
        ),
    )


# -- a container's veth pair -----------------------------------------------------------------


def _veth(case: Case, member: Member, end: Endpoint, net: Network) -> Iterator[Cause | None]:
    """Find causes on a container's veth pair, at the host's end first."""
    if not net.bridge_in_host:
        return
    who, rejoin = member.box.name, owners.rejoin(case, member.box)
    if not case.host.links or not (end.link or _known_lost(case, member, end)):
        return
    here = case.host.link(end.link)
    if here is None:
        yield Cause(
            "no-link",
            f"{who}'s veth pair to {net.name} is gone",
            (f"{HOST}: there is no link {end.link or 'of it'}",),
            (rejoin,),
        )
        return
    bridge = case.host.link(net.link)
    if not here.up:
        yield Cause(
            "link-down",
            f"{who}'s veth pair to {net.name} is down at the host's end",
            (f"{HOST}: {end.link} is down",),
            (f"ip link set {end.link} up", rejoin),
        )
    if bridge is not None and here.master != bridge.index:
        other = next((link.name for link in case.host.links if link.index == here.master), "none")
        yield Cause(
            "off-bridge",
            f"{who}'s veth pair is not attached to {net.link}, the bridge of {net.name}",
            (f"{HOST}: {end.link} is a port of {other}",),
            (f"ip link set {end.link} master {net.link}", rejoin),
        )
    inside = case.facts.get(member.place.name)
    if inside is not None:
        yield _inside(inside, member, end, net, rejoin)
    elif not here.carrier:
        yield Cause(
            "peer-down",
            f"{who}'s veth pair has no carrier: {end.ifname} in {who} is down",
            (f"{HOST}: {end.link}: no carrier",),
            (rejoin,),
        )
    if here.port is not None and here.port.state != FORWARDING and here.up and here.carrier:
        state = STATES.get(here.port.state, str(here.port.state))
        yield Cause(
            "port-state",
            f"the bridge's port of {who} is {state}, so it passes no frames on",
            (f"{HOST}: bridge link show dev {end.link}: state {state}",),
            (f"bridge link set dev {end.link} state 3", "wait, if the bridge has a spanning tree"),
        )


def _known_lost(case: Case, member: Member, end: Endpoint) -> bool:
    """Test for an endpoint of another engine's whose interface is gone from its namespace."""
    inside = case.facts.get(member.place.name)
    return inside is not None and bool(inside.links) and not end.ifname


def _inside(facts: Facts, member: Member, end: Endpoint, net: Network, rejoin: str) -> Cause | None:
    """Find a cause at the container's end: the link missing or down, or an address missing.

    Args:
        rejoin: the command that builds the container's interface anew.
    """
    who, link = member.box.name, facts.link(end.ifname)
    if link is None:
        return Cause(
            "no-link",
            f"{who} has no {end.ifname}",
            (f"{who}: there is no link {end.ifname}",),
            (rejoin,),
        )
    if not link.up:
        return Cause(
            "peer-down",
            f"{end.ifname} in {who} is down",
            (f"{who}: {end.ifname} is down",),
            (rejoin,),  # its routes went with it
        )
    lost = [ip for ip in end.ips if not facts.has(ip.ip)]
    if lost:
        return Cause(
            "address-gone",
            f"{who} does not have {lost[0].ip} any more, its address on {net.name}",
            (f"{who}: no address {lost[0].ip}",),
            (within(member.place, f"ip addr add {lost[0]} dev {end.ifname}"), rejoin),
        )
    return None


# -- its bridge -----------------------------------------------------------------


def _bridge(case: Case, net: Network) -> Cause | None:
    """Find a cause on the bridge of an end: missing, or down.

    It comes before its ports: the kernel disables the ports of a bridge that is down.
    """
    if not net.bridge_in_host or not case.host.links:
        return None
    bridge = case.host.link(net.link)
    if bridge is None:
        return Cause(
            "no-bridge",
            f"the bridge of {net.name} is gone",
            (f"{HOST}: there is no link {net.link}",),
            (owners.rebuild(case, net),),
        )
    return None if bridge.up else bridge_down(case, net)


def _gateway(case: Case, ip: IPAddress, net: Network) -> Cause | None:
    """Find a bridge without the gateway address of a network."""
    if not net.bridge_in_host or not case.host.links or net.internal:
        return None
    pool = net.pool_of(ip)
    wanted = pool.gateway if pool else None
    routed = (
        case.holder(case.goal) is None
        or case.source.name == HOST
        or case.packet is None
        or case.packet.ttl < 64
    )
    if wanted is None or case.host.has(wanted) or not routed:
        return None
    return _gateway_gone(case, wanted, net)


def without_its_route(case: Case, ip: IPAddress, net: Network, answer: RouteAnswer) -> Cause | None:
    """Cause for a bridge network whose route went with its gateway address.

    Args:
        answer: the host's route to an address of it, `ip`.
    """
    pool = net.pool_of(ip)
    wanted = pool.gateway if pool else None
    led_away = answer.dev not in (net.link, "lo") and answer.net in ("", "default")
    if wanted is None or case.host.has(wanted) or not led_away:
        return None
    return _gateway_gone(case, wanted, net)


def _gateway_gone(case: Case, wanted: IPAddress, net: Network) -> Cause:
    pool = net.pool_of(wanted)
    length = pool.subnet.prefixlen if pool else wanted.max_prefixlen
    return Cause(
        "gateway-gone",
        f"the host does not have {wanted} any more, by which {net.name} leads out",
        (f"{HOST}: no address {wanted}",),
        owners.relink(case, net, f"ip addr add {wanted}/{length} dev {net.link}"),
    )


def bridge_down(case: Case, net: Network) -> Cause:
    """Cause: a network's bridge is down."""
    up = f"ip link set {net.link} up"
    return Cause(
        "bridge-down",
        f"the bridge of {net.name} is down",
        (f"{HOST}: {net.link} is down",),
        tuple(dict.fromkeys((up, *owners.relink(case, net, up)))),
    )


def _ports(case: Case) -> Iterator[Cause | None]:
    """Find isolated ports: the kernel passes no frames between two of one bridge."""
    two = [holder for ip in _ends(case) if (holder := case.holder(ip)) is not None]
    links = [
        (member, link)
        for member, end, _ in two
        if (link := case.host.link(end.link)) is not None and link.port is not None
    ]
    if len(links) < 2:
        return
    (one, here), (other, there) = links[:2]
    if (
        here.name != there.name
        and here.master == there.master
        and here.port
        and there.port
        and here.port.isolated
        and there.port.isolated
    ):
        yield Cause(
            "isolated",
            f"{one.box.name} and {other.box.name} are on isolated ports of one bridge:"
            " those pass nothing to each other",
            tuple(
                f"{HOST}: bridge -d link show dev {link.name}: isolated on"
                for link in (here, there)
            ),
            (f"bridge link set dev {here.name} isolated off",),
        )


def _hairpin(case: Case) -> Cause | None:
    """Find a frame that should leave by the port that it came in by, where hairpin mode is off.

    With br_netfilter the bridge rewrites the destination itself, and drops the frame at that port.
    """
    last, published = case.last, case.published
    rewritten = case.end.way is Direction.THERE and any(
        line.rewrites for line in case.story.lines()
    )
    if last is None or last.place.name != HOST or (last.inbound and not (rewritten and published)):
        return None
    holder = case.holder(
        published.end.target(published.port) if last.inbound and published else last.packet.dst
    )
    came = next(
        (
            each
            for each in case.story.crossings(case.end.way)
            if each.place.name == HOST and each.inbound
        ),
        None,
    )
    link = case.host.link(holder[1].link) if holder else None
    if (
        link is None
        or link.port is None
        or link.port.hairpin
        or came is None
        or came.dev != link.name
    ):
        return None
    return Cause(
        "hairpin",
        f"it must go back to {holder[0].box.name if holder else ''} by the port that it came in by,"
        " which a bridge does only in hairpin mode",
        (
            f"{HOST}: bridge -d link show dev {link.name}: hairpin off",
            f"it came in by {came.dev}" + ("" if last.inbound else f" and left by {last.dev}"),
        ),
        (
            f"bridge link set dev {link.name} hairpin on",
            *((owners.rejoin(case, holder[0].box),) if holder else ()),
        ),
    )
