"""Links of other engines' containers: no engine tells them, so plumb finds them in the kernel.

A container's interface is the link with its endpoint's MAC address, or with its IP address where
several have one MAC (ipvlan); the other end of its veth pair is that link's peer in the host, or
in the overlay network's namespace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plumb.address import IPInterface
from plumb.frozen import replace
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.targets import Member, Published
from plumb.model.netns_state import Link
from plumb.trace import link_labels
from plumb.trace.link_labels import Spot


def completed(
    members: Sequence[Member],
    links: Mapping[str, Sequence[Link]],
    addresses: Mapping[str, Sequence[tuple[str, IPInterface]]],
    wires: Mapping[Spot, Spot],
) -> tuple[Member, ...]:
    """Add the links of endpoints that have none, as far as their namespaces were read.

    Args:
        links, addresses: those of each namespace, by its name.
        wires: the other ends of links.
    """
    return tuple(
        _with_links(each, links[each.place.name], addresses[each.place.name], wires)
        if each.place.name in links and any(_lacks(end, net) for end, net in each.ends)
        else each
        for each in members
    )


def _lacks(end: Endpoint, net: Network) -> bool:
    """Test for an endpoint without its interface, or without that one's peer on a bridge."""
    return not end.ifname or ((net.bridge_in_host or net.multi_host) and not end.link)


def _with_links(
    member: Member,
    links: Sequence[Link],
    addresses: Sequence[tuple[str, IPInterface]],
    wires: Mapping[Spot, Spot],
) -> Member:
    def found(end: Endpoint, net: Network) -> Endpoint:
        own = {ip.ip for ip in end.ips}
        by_mac = [link.name for link in links if end.mac and link.mac == end.mac]
        by_ip = [dev for dev, ip in addresses if ip.ip in own]
        by_either = next(iter(by_mac if len(by_mac) == 1 else [*by_ip, *by_mac]), "")
        ifname = end.ifname or by_either
        place, port = wires.get((member.place.name, ifname), ("", ""))
        return replace(
            end, ifname=ifname, link=port if place == link_labels.place_of(net).name else ""
        )

    ends = tuple((found(end, net) if _lacks(end, net) else end, net) for end, net in member.ends)
    return replace(member, ends=ends)


def published_by(members: Sequence[Member], port: Published | None) -> Published | None:
    """Published port with the endpoint as it is among these members."""
    if port is None:
        return None
    for member in members:
        if member.box.id == port.member.box.id:
            end = next((end for end, _ in member.ends if end.id == port.end.id), port.end)
            return replace(port, member=member, end=end)
    return port
