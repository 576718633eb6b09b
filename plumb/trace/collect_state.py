"""State of namespaces, read once a probe packet got no reply."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

from plumb.address import IPAddress
from plumb.errors import PlumbError
from plumb.kernel.net import sysctl
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.net.route_lookup import RouteLookup
from plumb.kernel.netfilter import conntrack_flush
from plumb.kernel.netns.namespaces import entered
from plumb.model.netns_state import ConntrackEntry, Facts, Link, Listener, Neighbour, RouteAnswer
from plumb.model.observations import Netns
from plumb.trace.headers import Direction
from plumb.trace.path import Story

SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/icmp_echo_ignore_all",
    "net/ipv6/icmp/echo_ignore_all",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)
OF_LINK = (
    "net/ipv4/conf/{}/forwarding",
    "net/ipv6/conf/{}/forwarding",
    "net/ipv4/conf/{}/rp_filter",
    "net/ipv4/conf/{}/route_localnet",
)
PAUSE = 0.02
"""Seconds between two looks at a neighbour entry."""
MANY = 1000
"""Entries in the conntrack table beyond which plumb does not read it."""


def facts(
    place: Netns, story: Story, goal: IPAddress, exits: Collection[tuple[str, str]] = ()
) -> Facts:
    """Read the state of a namespace on the packet's path, actual or expected.

    Args:
        goal: the packet's destination, for a namespace that sent it and captured nothing.
        exits: links whose other end no watched namespace has, by namespace and name.

    Returns:
        Links, addresses, neighbours, listeners, conntrack entries, sysctls and routes.
    """
    with LinkInventory(place) as inventory, RouteLookup(place) as lookup:
        links = inventory.links()
        there, back = _routes(lookup, story, place, goal)
        protocol = story.flow.protocol
        return Facts(
            place,
            links,
            inventory.addresses(links),
            inventory.neighbours(links),
            tuple(_listeners(lookup, protocol)),
            tuple(_tracked(place, protocol, story.flow.version)),
            dict(_settings(place, story, links)),
            there,
            back,
            dict(_far_ends(inventory, links, exits)),
        )


def awaited(place: Netns, known: Neighbour, state: str, seconds: float) -> str:
    """Wait until a neighbour entry has another state, and return that; empty if it is gone.

    Args:
        place: the namespace; known: its entry.
        state: the state that is to end.
        seconds: how long to wait at most; the state is returned then.
    """
    deadline = time.monotonic() + seconds
    with LinkInventory(place) as inventory:
        links = inventory.links()
        while True:
            now = next(
                (
                    each.state
                    for each in inventory.neighbours(links)
                    if (each.dev, each.ip) == (known.dev, known.ip)
                ),
                "",
            )
            if now != state or time.monotonic() >= deadline:
                return now
            time.sleep(PAUSE)


def _far_ends(
    inventory: LinkInventory, links: Sequence[Link], exits: Collection[tuple[str, str]]
) -> Iterator[tuple[str, Link]]:
    for link in links:
        if (inventory.place.name, link.name) in exits:
            far = inventory.far_end(link)
            if far is not None:
                yield link.name, far


def _listeners(lookup: RouteLookup, protocol: str) -> list[Listener]:
    if protocol == "icmp":
        return []
    try:
        return lookup.listeners(protocol)
    except PlumbError:
        return []  # this kernel has no inet_diag for the protocol


def _routes(
    lookup: RouteLookup, story: Story, place: Netns, goal: IPAddress
) -> tuple[RouteAnswer | None, RouteAnswer | None]:
    """Look up the routes of the packet and of its reply in a namespace.

    plumb asks with the source and inbound link of the last crossing; for a reply that was not
    captured, with the addresses that it would have.
    """
    came = [
        each for each in story.crossings(Direction.THERE) if each.place == place and each.inbound
    ]
    question = story.packet(place, Direction.THERE)
    if place == story.source:
        there = lookup.route(goal if question is None else question.dst)
    elif came and question is not None:
        there = lookup.route(question.dst, came[-1].packet.src, came[-1].dev)
    else:
        return None, None
    answer = story.packet(place, Direction.BACK)
    arrived = [
        each
        for each in story.crossings(Direction.BACK)
        if each.place == place and each.inbound and each.packet.about is None
    ]
    if arrived and answer is not None:
        return there, lookup.route(answer.dst, arrived[-1].packet.src, arrived[-1].dev)
    return there, lookup.route(came[-1].packet.src) if came else None


def _settings(place: Netns, story: Story, links: Sequence[Link]) -> Iterator[tuple[str, str]]:
    """Sysctls that decide on packets, with those of each link that the packet may use."""
    used = {each.dev for way in Direction for each in story.crossings(way) if each.place == place}
    devs = [
        "all",
        *(
            link.name
            for link in links
            if link.name in used or link.kind == "bridge" or not link.master
        ),
    ]
    with entered(place.ns):
        for name in (*SETTINGS, *(pattern.format(dev) for dev in devs for pattern in OF_LINK)):
            value = sysctl.read(name)
            if value is not None:
                yield name, value


def _tracked(place: Netns, protocol: str, version: int) -> Iterator[ConntrackEntry]:
    """Conntrack entries of the protocol; none where the table has more than MANY."""
    with entered(place.ns):
        if not 0 < int(sysctl.read("net/netfilter/nf_conntrack_count") or 0) <= MANY:
            return
        try:
            flows = conntrack_flush.dump()
        except (OSError, PlumbError):
            return
    for flow in flows:
        if flow.is_of(protocol, version):
            yield flow
