"""Causes at neighbours: no reply for an address, or another's (ARP, RFC 826; ND, RFC 4861)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.model.net.targets import Member
from plumb.model.netns_state import Facts, Link, Neighbour, RouteAnswer
from plumb.trace.causes import owners
from plumb.trace.causes.case import VANISHED, Case, Cause
from plumb.trace.causes.remedies import ip_tool, within
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Ending

ASKING = "INCOMPLETE"
"""State of an entry whose neighbour the kernel still asks: the packet waits, and is not lost."""
DEAD = ("FAILED", ASKING)
GIVEN_UP = ("host unreachable", "address unreachable")
"""ICMP errors of a sender that got no answer for its next hop's address."""


class NextHop(NamedTuple):
    """Next hop of a packet: the namespace that sends to it, its address, the link and the route."""

    facts: Facts
    ip: IPAddress
    dev: str
    route: RouteAnswer | None


class Owner(NamedTuple):
    """Owner of an address: its name, and the link and MAC address by which it is reached."""

    name: str
    dev: str
    mac: str


def next_hop(case: Case) -> NextHop:
    """Next hop of the packet that was lost; of the reply, where none left the target."""
    end = case.end
    rejected = end.ending is Ending.REJECTED  # by an ICMP error, of the namespace that needs it
    facts = case.of(end.place if rejected else case.last.place if case.last else case.source)
    silent = end.ending is Ending.SILENT and facts.has(case.goal)
    back = silent or (end.way is Direction.BACK and not rejected)
    answer = facts.back if back else facts.there
    if answer is None or answer.error:
        return NextHop(facts, case.goal, "", None)
    return NextHop(facts, answer.via or answer.dst, answer.dev, answer)


def neighbour(hop: NextHop) -> Neighbour | None:
    """Entry of the sender's neighbour table for a next hop."""
    return next(
        (each for each in hop.facts.neighbours if each.ip == hop.ip and each.dev == hop.dev), None
    )


# -- another MAC address -----------------------------------------------------------------


def wrong_mac(case: Case) -> Cause | None:
    """Find a frame that went to another MAC address than its next hop's.

    The sender's neighbour table has that MAC address: somebody else answers for the next hop's
    address, or did so, or the entry was set by hand.
    """
    for way in (Direction.THERE, Direction.BACK):
        for crossing in case.story.crossings(way):
            hop = _sent_to(case, crossing, way)
            owner = _owner(case, hop) if hop else None
            if hop is None or owner is None or owner.mac == crossing.packet.mac[1]:
                continue
            known = neighbour(hop)
            if known is not None and known.mac == crossing.packet.mac[1]:
                return _duplicate(case, hop, known, owner) or _wrong_entry(case, hop, known, owner)
    return None


def _sent_to(case: Case, crossing: Crossing, way: Direction) -> NextHop | None:
    """Next hop of a frame that a namespace sent or routed; None for one that it bridged."""
    facts = case.of(crossing.place)
    route = facts.there if way is Direction.THERE else facts.back
    link = facts.link(crossing.dev)
    if crossing.inbound or not crossing.packet.mac[1] or route is None or route.error:
        return None
    routed = route.dev == crossing.dev and route.dst == crossing.packet.dst
    if not routed or link is None or link.port is not None:
        return None
    return NextHop(facts, route.via or route.dst, crossing.dev, route)


def _owner(case: Case, hop: NextHop) -> Owner | None:
    """Owner of an address on the segment of a link; None if plumb knows none there."""
    place = hop.facts.place
    for member in case.members:
        for end, net in member.ends:
            if any(own.ip == hop.ip for own in end.ips) and hop.dev in _links_to(case, hop, net.id):
                inside = case.of(member.place).link(end.ifname)
                return Owner(member.box.name, end.ifname, (inside and inside.mac) or end.mac)
    there = case.wires.get((place.name, hop.dev))
    facts = case.facts.get(there[0]) if there else None
    if facts is None or there is None:
        return None
    port = facts.link(there[1])
    bridge = facts.bridge(port) if port else None
    devs = [link for link in (port, bridge) if link is not None]
    return next(
        (
            Owner(facts.place.name, link.name, link.mac)
            for link in devs
            if link.mac and (link.name, hop.ip) in [(dev, ip.ip) for dev, ip in facts.addresses]
        ),
        None,
    )


def _links_to(case: Case, hop: NextHop, network: str) -> list[str]:
    """Links by which a namespace is on a network."""
    own = [
        end.ifname
        for member in case.members
        if member.place == hop.facts.place
        for end, net in member.ends
        if net.id == network
    ]
    bridges = [net.link for net in case.networks if net.id == network and net.bridge_in_host]
    return own or (bridges if hop.facts.place == case.host.place else [])


def _duplicate(case: Case, hop: NextHop, known: Neighbour, owner: Owner) -> Cause | None:
    """Cause: a second namespace that has the address, and the MAC address of the entry."""
    for facts in case.facts.values():
        for dev, own in facts.addresses:
            link = facts.link(dev)
            if own.ip != hop.ip or link is None or link.mac != known.mac:
                continue
            remove = within(facts.place, f"ip addr del {own} dev {dev}")
            return Cause(
                "duplicate-address",
                f"two have the address {hop.ip}: {hop.facts.place.name} sends to"
                f" {facts.place.name}'s MAC {known.mac}, {owner.name} has {owner.mac}",
                (
                    _entry(hop, known),
                    f"{facts.place.name}: {own} on {dev}, {known.mac}",
                    f"{owner.name}: {owner.dev} {owner.mac}",
                ),
                (f"{remove} && {_forgetting(hop)}",),
            )
    return None


def _wrong_entry(case: Case, hop: NextHop, known: Neighbour, owner: Owner) -> Cause:
    """Cause: an entry of the neighbour table with a MAC address that the owner does not have."""
    whose = next(
        (
            f" ({member.box.name}'s)"
            for member in case.members
            for end, _ in member.ends
            if end.mac == known.mac
        ),
        "",
    )
    how = (
        "an entry that somebody set by hand, and which the kernel never asks about"
        if known.state == "PERMANENT"
        else "it learned that from an answer"
    )
    return Cause(
        "wrong-neighbour",
        f"{hop.facts.place.name} sends what is for {hop.ip} to MAC {known.mac}{whose},"
        f" but {owner.name} has {owner.mac}: {how}",
        (_entry(hop, known), f"{owner.name}: {owner.dev} {owner.mac}"),
        (_forgetting(hop),),
    )


def set_by_hand(case: Case) -> Cause | None:
    """Find a packet that was lost behind an entry that somebody set by hand."""
    hop = next_hop(case)
    known = neighbour(hop)
    if known is None or known.state != "PERMANENT" or case.end.ending not in VANISHED:
        return None
    return Cause(
        "wrong-neighbour",
        f"somebody set by hand that {hop.ip} has MAC {known.mac},"
        " and the kernel never asks whether that is so",
        (_entry(hop, known),),
        (_forgetting(hop),),
        sure=False,
    )


def _entry(hop: NextHop, known: Neighbour) -> str:
    return (
        f"{hop.facts.place.name}: ip neigh: {hop.ip} dev {hop.dev} lladdr {known.mac} {known.state}"
    )


def _forgetting(hop: NextHop) -> str:
    return within(hop.facts.place, f"ip neigh del {hop.ip} dev {hop.dev}")


# -- no MAC address ----------------------------------------------------------------------


def undecided(case: Case) -> Neighbour | None:
    """Entry of the next hop that may answer yet: the packet waits for the kernel's decision.

    None for an address of a bridge network that none of its containers has, nor its gateway: what
    the kernel will find is known.
    """
    hop = next_hop(case)
    known = neighbour(hop)
    if known is None or known.state != ASKING or _nobody_has(case, hop.ip):
        return None
    return known


def _nobody_has(case: Case, ip: IPAddress) -> bool:
    """True for an address of a bridge network that no container has, and no namespace."""
    net = case.network_of(ip)
    if net is None or not net.bridge_in_host:
        return False
    gateways = [pool.router for pool in net.pools]
    there = case.holder(ip) is not None or any(facts.has(ip) for facts in case.facts.values())
    return not there and ip not in gateways


def _given_up(case: Case, hop: NextHop) -> Neighbour | None:
    """Entry that the kernel had until it gave up, said so by an ICMP error, and dropped the entry.

    It drops entries that nobody uses where all namespaces together have many (gc_thresh2 of
    arp(7), 512), so that a busy host has none a moment later. Only of an address that nobody has.
    """
    end = case.end
    by_sender = end.ending is Ending.REJECTED and end.place == hop.facts.place
    if not by_sender or end.error not in GIVEN_UP or not hop.dev or not _nobody_has(case, hop.ip):
        return None
    return Neighbour(hop.dev, hop.ip, "", "FAILED")


def no_neighbour(case: Case) -> Cause | None:
    """Find a next hop that does not answer for its address."""
    hop = next_hop(case)
    facts, ip, dev, _ = hop
    there = neighbour(hop)
    known = there or _given_up(case, hop)
    if known is None or known.state not in DEAD:
        return None
    observed = f"{facts.place.name}: ip neigh: {ip} dev {dev} {known.state}"
    if there is None:
        observed = f"{facts.place.name}: {case.end.error}, and {ip} is not in ip neigh any more"
    if (filtered := _rp_filter(case, facts, ip, dev)) is not None:
        return filtered
    if (wrong := next(_wrong_gateways(case, hop, observed), None)) is not None:
        return wrong
    link: Link | None = facts.link(dev)
    what = (
        f"nobody on {dev}"
        + ("" if link is None or link.carrier else " (no carrier)")
        + f" answers for {ip}"
    )
    if _nobody_has(case, ip):
        engine = owners.words(case, case.network_of(ip))
        return Cause(
            "target-gone",
            f"{what}: no running container has that address",
            (observed,),
            (
                (
                    f"{engine.command} ps shows who runs,"
                    f" and {engine.rebuild} mends what is left of others"
                ),
                "delete the rule that leads there, if it is an old one",
            ),
        )
    return Cause(
        "no-neighbour",
        f"{what} yet" if known.state == ASKING else what,
        (observed,),
        (f"see that {ip} is up, and on the segment of {facts.place.name}:{dev}",),
        sure=known.state != ASKING,
    )


def router_that_is_none(case: Case) -> Cause | None:
    """Find a default route that led the packet to a namespace that is not the gateway."""
    last = case.last
    if last is None or case.end.way is not Direction.THERE:
        return None
    facts = case.of(case.source)
    route = facts.there
    if route is None or route.via is None or not case.of(last.place).has(route.via):
        return None
    hop = NextHop(facts, route.via, route.dev, route)
    return next(_wrong_gateways(case, hop, f"{facts.place.name}: ip route: {route}"), None)


def _wrong_gateways(case: Case, hop: NextHop, observed: str) -> Iterator[Cause]:
    """Find a container's default route by another address than its network's gateway."""
    if hop.route is None or hop.route.via is None or hop.route.net != "default":
        return
    for member in (each for each in case.members if each.place == hop.facts.place):
        for end, net in member.ends:
            pool = net.pool(hop.ip.version)
            gateway = pool.router if pool else None
            if end.ifname == hop.dev and gateway is not None and gateway != hop.ip:
                yield _wrong_gateway(case, hop, member, str(gateway), observed)


def _wrong_gateway(case: Case, hop: NextHop, member: Member, gateway: str, observed: str) -> Cause:
    holder = case.holder(hop.ip)
    who = f"is {holder[0].box.name}, no router" if holder else "nobody has"
    command = f"{ip_tool(hop.ip.version)} route replace default via {gateway} dev {hop.dev}"
    return Cause(
        "wrong-gateway",
        f"{member.box.name}'s default route leads to {hop.ip}, which {who};"
        f" the gateway of its network is {gateway}",
        (
            f"{hop.facts.place.name}: ip route get {hop.route and hop.route.dst}: {hop.route}",
            observed,
        ),
        (within(hop.facts.place, command), owners.rejoin(case, member.box)),
    )


def _rp_filter(case: Case, facts: Facts, ip: IPAddress, dev: str) -> Cause | None:
    """Find a next hop that has the address, and does not answer for it because of rp_filter.

    With a strict rp_filter (RFC 3704) the kernel ignores ARP requests from an address that it would
    reply to by another link.
    """
    spot = case.wires.get((facts.place.name, dev))
    there = case.facts.get(spot[0]) if spot else None
    if spot is None or there is None or not there.has(ip):
        return None
    names = [f"net/ipv4/conf/{each}/rp_filter" for each in ("all", spot[1])]
    if max(map(there.setting, names)) != "1":
        return None
    return Cause(
        "rp-filter",
        f"{there.place.name} has {ip}, and does not even answer for its MAC address:"
        f" it would answer {facts.place.name} by another link than {spot[1]},"
        " and with a strict rp_filter does not believe it",
        tuple(f"{there.place.name}: {name} = {there.setting(name)}" for name in names),
        (
            (
                within(there.place, f"ip route replace {facts.there.src} dev {spot[1]}")
                if facts.there and facts.there.src
                else f"a route to {facts.place.name} by {spot[1]}"
            ),
            "a loose rp_filter (2), where answers take another way on purpose",
        ),
        sure=False,
    )
