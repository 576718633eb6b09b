"""Wires that leave what was read: published ports, NAT, tunnels, uplinks, policies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from ipaddress import ip_interface

from plumb.address import IPAddress, IPNetwork
from plumb.draw import policies
from plumb.draw.picture import End, Wire, WireKind
from plumb.frozen import frozen
from plumb.model.diagnosis.snapshot import ChainState, RuleState
from plumb.model.observations import HOST
from plumb.things.host_ports import at
from plumb.trace.link_labels import Spot
from plumb.trace.topology import Topology

SOURCE_NAT = re.compile(r"\b(MASQUERADE|SNAT)\b", re.IGNORECASE)
DESTINATION_NAT = re.compile(r"--to-destination (\S+)")
MATCHED = re.compile(r"-p (\w+).*--dport (\d+)")


@frozen
class Beyond:
    """Facts about that which lies outside of the namespaces that were read.

    Attributes:
        vteps: addresses of other hosts that a VXLAN link sends to.
        chains: the host's chains.
        missing: sentences on what could not be read.
    """

    vteps: Mapping[Spot, tuple[IPAddress, ...]] = field(default_factory=dict)
    chains: tuple[ChainState, ...] = ()
    missing: tuple[str, ...] = ()


def wires(topology: Topology, beyond: Beyond) -> Iterator[Wire]:
    """Yield them; some twice."""
    yield from _uplinks(topology)
    yield from _tunnels(topology, beyond)
    published = tuple(_published(topology))
    yield from published
    yield from _source_nat(topology, beyond.chains)
    yield from _destination_nat(topology, beyond.chains, published)
    yield from policies.of_rules(topology, beyond.chains)


def _uplinks(topology: Topology) -> Iterator[Wire]:
    """Yield hardware, and veth links whose other end is in a namespace that was not read."""
    for place, own in topology.links.items():
        for link in own:
            if not link.kind and link.name != "lo":
                yield Wire(WireKind.UPLINK, End(place, link.name), End("", f"LAN of {link.name}"))
    for place, name in topology.exits:
        yield Wire(WireKind.UPLINK, End(place, name), End("", f"beyond {place}/{name}"))


def _tunnels(topology: Topology, beyond: Beyond) -> Iterator[Wire]:
    vnis = {(place, link.name): link.vni for place, own in topology.links.items() for link in own}
    for spot, vteps in beyond.vteps.items():
        for vtep in vteps:
            if spot in vnis and not vtep.is_unspecified:
                end = End("", f"VTEP {vtep}")
                yield Wire(WireKind.TUNNEL, End(*spot), end, f"VNI {vnis[spot]}")


def _published(topology: Topology) -> Iterator[Wire]:
    names = {place: {link.name for link in own} for place, own in topology.links.items()}
    for member in topology.members:
        if member.place.name not in names:
            continue
        for end, _ in member.ends:
            ifname = end.ifname if end.ifname in names[member.place.name] else ""
            for port in end.ports:
                if port.host_port:
                    yield Wire(
                        WireKind.PUBLISHED,
                        End("", f"{at(port.host_ip, port.host_port)}/{port.protocol}"),
                        End(member.place.name, ifname),
                        f"to {port.port}/{port.protocol}",
                    )


def _source_nat(topology: Topology, chains: Sequence[ChainState]) -> Iterator[Wire]:
    """Yield the rules that rewrite the source of a whole network's packets."""
    for rule in (rule for chain in chains for rule in chain.rules):
        found = SOURCE_NAT.search(rule.words)
        if found is None:
            continue
        for subnet in _subnets(rule, "saddr"):
            link = _link_in(topology, subnet)
            if link and subnet not in _subnets(rule, "daddr"):  # that would be a hairpin
                what = f"{found[1].upper()} {subnet}"
                yield Wire(WireKind.NAT, End(HOST, link), End("", "source NAT"), what)


def _subnets(rule: RuleState, key: str) -> list[IPNetwork]:
    values = (
        value
        for condition, given, negated in rule.conditions
        if condition == key and not negated
        for value in given
    )
    return [network for value in values if (network := _network(value)) is not None]


def _network(text: str) -> IPNetwork | None:
    try:
        return ip_interface(text).network
    except ValueError:
        return None


def _link_in(topology: Topology, subnet: IPNetwork) -> str:
    """The host's link with an address in a subnet."""
    return next((dev for dev, ip in topology.addresses[HOST] if ip.ip in subnet), "")


def _destination_nat(
    topology: Topology, chains: Sequence[ChainState], published: Sequence[Wire]
) -> Iterator[Wire]:
    """Yield rules of iptables that lead to a container's address, which no engine knows."""
    known = {(wire.one.interface.rpartition(":")[2], wire.other.box) for wire in published}
    holders = {
        ip.ip: End(place, dev)
        for place, own in topology.addresses.items()
        if place != HOST
        for dev, ip in own
    }
    for rule in (rule for chain in chains for rule in chain.rules):
        to, matched = DESTINATION_NAT.search(rule.words), MATCHED.search(rule.words)
        if to is None or matched is None:
            continue
        address, _, port = to[1].rpartition(":")
        network = _network(address.strip("[]"))
        end = holders.get(network.network_address) if network is not None else None
        heading = f"{matched[2]}/{matched[1]}"
        if end is not None and (heading, end.box) not in known:
            label = f"to {port}/{matched[1]}"
            yield Wire(WireKind.PUBLISHED, End("", f"DNAT :{heading}"), end, label)
