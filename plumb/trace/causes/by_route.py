"""Causes in routing: a namespace has no route to the destination, or a route that refuses.

plumb asks the last namespace that had the packet for its route (RTM_GETROUTE), with the packet's
source and inbound link, since forwarding and rp_filter depend on both.
"""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.model.cnm import Network
from plumb.model.netns_state import Facts, RouteAnswer
from plumb.model.observations import HOST, Netns
from plumb.things.layer3 import dotted
from plumb.trace.causes import by_link, by_neighbour, owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import ip_tool, within
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Ending

REFUSING = ("blackhole", "prohibit", "unreachable")


def find(case: Case) -> Cause | None:
    """Find a cause in the routing of the last namespace that had the packet."""
    end = case.end
    if end.ending is Ending.UNSENT:
        return _unsent(case)
    if end.ending is Ending.REJECTED and end.line is None:
        return _rejected(case)
    if not case.gone or case.last is None:
        return None
    if end.ending is Ending.SILENT or (
        end.way is Direction.THERE and case.of(case.last.place).has(case.goal)
    ):
        return _no_reply(case, case.last)
    return _not_forwarded(case, case.last, end.way) if case.last.inbound else None


def wrong_link(case: Case) -> Cause | None:
    """Find a route that led the packet to another link than the network's.

    That explains the end, whatever became of the packet on that link.
    """
    line, routed = case.end.line, _routed_by_host(case)
    if (line is not None and line.hook != "forward") or routed is None or not case.host.links:
        return None
    ip, answer = routed
    net = case.network_of(ip)
    bridge = case.bridge(net) if net and net.bridge_in_host else None
    if net is not None and bridge is not None and not bridge.up:
        return by_link.bridge_down(case, net)
    if net is None or not net.bridge_in_host or answer is None:
        return None
    return by_link.without_its_route(case, ip, net, answer) or _other_route(net, ip, answer)


def _routed_by_host(case: Case) -> tuple[IPAddress, RouteAnswer | None] | None:
    """Destination that the host routed last, and the route; None if it routed nothing.

    The host that gives up on a neighbour, after three seconds, sends an ICMP error about the packet
    that it routed; until then the packet is unsent.
    """
    host, end, there = case.host, case.end, case.end.way is Direction.THERE
    if end.ending is Ending.REJECTED and end.place == host.place and not end.inbound:
        return case.goal, host.back if there else host.there
    packet = case.story.packet(host.place, end.way)
    if packet is not None:
        return packet.dst, host.there if there else host.back
    unsent = end.ending is Ending.UNSENT and case.source.name == HOST
    return (case.goal, host.there) if unsent else None


# -- at the sender -----------------------------------------------------------------


def _unsent(case: Case) -> Cause | None:
    """Find the reason why the sender's own routing kept the packet from leaving."""
    facts, answer = case.of(case.source), case.of(case.source).there
    error = case.end.error or (answer.error if answer else "")
    others = [link for link in facts.links if link.name != "lo"]
    if error and not others and facts.links:
        return Cause(
            "no-network",
            f"{case.source.name} is on no network: it has no link but its own loopback",
            (f"{case.source.name}: links: lo",),
            (_connect_source(case),),
        )
    if answer is not None and answer.error:
        return _no_way(facts, answer, case.goal, Direction.THERE, case)
    return None


def _connect_source(case: Case) -> str:
    """Command that connects the sender to a network."""
    member = next((each for each in case.members if each.place == case.source), None)
    if member is None:
        return f"plumb network connect NETWORK {case.source.name}"
    return owners.connect(case, None, member.box)


def _no_way(facts: Facts, answer: RouteAnswer, ip: IPAddress, way: Direction, case: Case) -> Cause:
    """Cause for a route lookup that failed, or found a route that refuses."""
    place = facts.place
    refusal = f"{answer.error}, {answer.type}" if answer.type else answer.error
    observed = (f"{place.name}: ip route get {ip}: {refusal}",)
    if answer.type in REFUSING and answer.error != "ENETUNREACH":
        return Cause(
            f"{answer.type}-route",
            f"a route of {place.name} says {answer.type} for {ip}:"
            " it is there so that nothing gets there",
            observed,
            (_deleting_route(place, ip, answer.type),),
        )
    if way is Direction.BACK:
        return Cause(
            "no-reply-route",
            f"{place.name} has no route to {ip}, to whom its answer must go",
            observed,
            _ways(case, place, ip),
        )
    without = _without_ipv6(case, place, ip, observed)
    return without or Cause(
        "no-route", f"{place.name} has no route to {ip}", observed, _ways(case, place, ip)
    )


def _without_ipv6(
    case: Case, place: Netns, ip: IPAddress, observed: tuple[str, ...]
) -> Cause | None:
    """Cause for a container none of whose networks has IPv6."""
    member = next(
        (each for each in case.members if each.place == place and place.name != HOST), None
    )
    nets = [net for _, net in member.ends] if member is not None else []
    if ip.version == 4 or member is None or not nets or any(net.pool(6) for net in nets):
        return None
    made = owners.words(case, nets[0]).command
    return Cause(
        "no-route",
        f"{place.name} has no IPv6: {', '.join(net.name for net in nets)} was made without it",
        observed,
        (f"{made} network create --ipv6 …, and {owners.connect(case, None, member.box)}",),
    )


def _deleting_route(place: Netns, ip: IPAddress, kind: str) -> str:
    """Command that deletes the route of that type which is for an address."""
    tool = ip_tool(ip.version)
    shown = within(place, f"{tool} route show match {ip} type {kind}")
    return f"{within(place, f'{tool} route del')} $({shown} | tail -n 1)"


def _ways(case: Case, place: Netns, ip: IPAddress) -> tuple[str, ...]:
    """Remedies for a namespace without a route: its network's gateway, or a router to be named."""
    gateways = [
        within(place, f"{ip_tool(ip.version)} route add default via {gateway} dev {end.ifname}")
        for member in case.members
        if member.place == place and place.name != HOST
        for end, net in member.ends
        if not net.closed and (pool := net.pool(ip.version)) and (gateway := pool.router)
    ]
    return (*(gateways[:1] or [f"a route to {ip} in {place.name}"]), *_default(case, place))


def _default(case: Case, place: Netns) -> tuple[str, ...]:
    """Remedies for a container without a default route."""
    member = next(
        (each for each in case.members if each.place == place and place.name != HOST), None
    )
    if member is None:
        return ()
    closed = [net.name for _, net in member.ends if net.closed]
    if closed and len(closed) == len(member.ends):
        return (
            (
                f"a network that leads out: {', '.join(closed)} does not:"
                f" {owners.connect(case, None, member.box)}"
            ),
        )
    return (owners.rejoin(case, member.box),)


# -- on the way -----------------------------------------------------------------


def _rejected(case: Case) -> Cause | None:
    """Find the route that made a router send its ICMP error."""
    facts = case.of(case.end.place)
    answer = facts.there
    about = case.end.packet.about.dst if case.end.packet and case.end.packet.about else case.ip
    if answer is not None and answer.error:
        return _no_way(facts, answer, about, Direction.THERE, case)
    return None


def _not_forwarded(case: Case, last: Crossing, way: Direction) -> Cause | None:
    """Find the reason why a namespace received the packet and did not forward it."""
    facts = case.of(last.place)
    answer = facts.there if way is Direction.THERE else facts.back
    packet, version = case.packet or last.packet, last.packet.version
    if facts.has(packet.dst):
        return _martian(case, last, answer)
    link = facts.link(last.dev)
    if link is not None and link.port is not None:
        return None  # a bridge's port: the kernel looks up no route there
    name = "net/ipv4/ip_forward" if version == 4 else "net/ipv6/conf/all/forwarding"
    own = f"net/ipv{version}/conf/{last.dev}/forwarding"
    off = next((each for each in (name, own) if facts.setting(each) == "0"), "")
    if off and answer is not None and (answer.error or version == 6):
        if (wrong := by_neighbour.router_that_is_none(case)) is not None:
            return wrong
        return Cause(
            "ip-forward",
            f"{last.place.name} does not forward what is not for itself: it is no router",
            (f"{last.place.name}: {off} = 0",),
            (
                within(last.place, f"sysctl -w {dotted(off)}=1"),
                "see who turns it off: grep -r forward /etc/sysctl.d /etc/systemd/network",
            ),
        )
    if answer is None or not answer.error:
        return None
    if answer.type in REFUSING or answer.error in ("ENETUNREACH", "EAGAIN"):
        return _no_way(facts, answer, packet.dst, way, case)
    return _martian(case, last, answer)


def _martian(case: Case, last: Crossing, answer: RouteAnswer | None) -> Cause | None:
    """Find a martian: a source that the kernel does not accept on the inbound link."""
    facts, packet = case.of(last.place), last.packet
    names = [f"net/ipv4/conf/{dev}/rp_filter" for dev in ("all", last.dev)]
    strict = max((facts.setting(name) for name in names), default="") == "1"
    refused = answer is not None and answer.error in ("EXDEV", "EINVAL") and not answer.type
    if packet.version != 4 or not refused:
        return None
    if facts.has(packet.src):
        return Cause(
            "own-source",
            f"{last.place.name} has {packet.src} itself,"
            f" and takes nothing from itself by {last.dev}",
            (f"{last.place.name}:{last.dev}: {packet.ends}",),
            ("give one of the two another address",),
        )
    if not strict:
        return None
    return Cause(
        "rp-filter",
        f"{last.place.name} would answer {packet.src} by another link than {last.dev},"
        " so with a strict rp_filter it does not believe the packet",
        (
            *(f"{last.place.name}: {name} = {facts.setting(name)}" for name in names),
            (
                f"{last.place.name}: ip route get {packet.dst} from {packet.src} iif {last.dev}:"
                f" {answer.error if answer else ''}"
            ),
        ),
        (
            within(last.place, f"ip route replace {packet.src} {_back_to(facts, last)}"),
            "a loose rp_filter (2), where answers take another way on purpose",
        ),
    )


def _back_to(facts: Facts, last: Crossing) -> str:
    """Words of a route to the neighbour that a packet came from.

    An entry of the packet's own source is no router: no route to it can lead over itself.
    """
    router = next(
        (
            each.ip
            for each in facts.neighbours
            if (each.dev, each.mac) == (last.dev, last.packet.mac[0])
            and each.ip.version == last.packet.version
            and each.ip != last.packet.src
        ),
        None,
    )
    return f"via {router} dev {last.dev}" if router else f"dev {last.dev}"


def _other_route(net: Network, ip: IPAddress, answer: RouteAnswer) -> Cause | None:
    """Cause for a route that leads to another link than the network's own."""
    if not net.link or answer.dev in (net.link, "", "lo"):
        return None
    return Cause(
        "other-route",
        f"{ip} is on {net.name}, but a more specific route leads it to {answer.dev}"
        f" instead of {net.link}",
        (f"{HOST}: ip route get {ip}: {answer}",),
        (f"ip route del {answer.net} dev {answer.dev}", f"another subnet for {net.name}"),
    )


# -- at the other end -----------------------------------------------------------------


def _no_reply(case: Case, last: Crossing) -> Cause | None:
    """Find the reason why the packet arrived, and no reply left."""
    facts = case.of(last.place)
    if (cause := _martian(case, last, facts.there)) is not None:
        return cause
    if facts.back is not None and facts.back.error:
        return _no_way(facts, facts.back, last.packet.src, Direction.BACK, case)
    if (
        facts.back is not None
        and facts.back.dev not in ("", last.dev)
        and case.end.ending is Ending.SILENT
    ):
        return Cause(
            "reply-elsewhere",
            f"{last.place.name}'s answer would leave by {facts.back.dev},"
            f" not by {last.dev} where the question came in",
            (f"{last.place.name}: ip route get {last.packet.src}: {facts.back}",),
            (
                "another network as the gateway: --gw-priority",
                f"a route to {last.packet.src} by {last.dev}",
            ),
            sure=False,
        )
    return None
