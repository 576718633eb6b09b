"""Policies: what networks promise of themselves, and the administrator's rules about them.

of networks     internal; no traffic between its containers (enable_icc=false); a gateway mode
of rules        those of PLUMB-USER and DOCKER-USER, the chains in which engines leave room
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from plumb.draw.picture import End, Wire, WireKind
from plumb.model.cnm import Network
from plumb.model.diagnosis.snapshot import ChainState, RuleState
from plumb.model.driver_options import GatewayMode
from plumb.model.observations import HOST
from plumb.trace.link_labels import Spot, place_of
from plumb.trace.topology import Topology

USERS_CHAINS = ("PLUMB-USER", "DOCKER-USER")


def of_networks(networks: Sequence[Network]) -> dict[Spot, tuple[str, ...]]:
    """Policies of networks, by the link that each has in the host."""
    found = {(place_of(net).name, net.link): tuple(_of_network(net)) for net in networks}
    return {spot: words for spot, words in found.items() if spot[1] and words}


def _of_network(net: Network) -> Iterator[str]:
    if net.internal:
        yield "internal"
    if not net.bridge_in_host:
        return
    if not net.bridge.icc:
        yield "no traffic between its containers"
    for version, on in ((4, net.ipv4), (6, net.ipv6)):
        if on and (mode := net.bridge.mode(version)) is not GatewayMode.NAT:
            yield f"IPv{version} {mode}"


def of_rules(topology: Topology, chains: Sequence[ChainState]) -> Iterator[Wire]:
    """Yield a wire from each link of the host that one of the administrator's rules is about.

    A rule that names none is about the whole host.
    """
    for chain in chains:
        if chain.name not in USERS_CHAINS:
            continue
        for rule in chain.rules:
            if rule.conditions or rule.verdict not in ("return", "accept", ""):
                words = f"{chain.name} {rule.words.removeprefix(f'-A {chain.name} ')}"
                for link in sorted(set(_links(topology, rule))) or [""]:
                    yield Wire(WireKind.POLICY, End(HOST, link), End("", words))


def _links(topology: Topology, rule: RuleState) -> Iterator[str]:
    """Yield the host's links that a rule names, or whose addresses' subnets it does."""
    for key, values, negated in rule.conditions:
        if negated:
            continue
        if key in ("iifname", "oifname"):
            known = {link.name for link in topology.links[HOST]}
            yield from (value for value in values if value in known)
        if key in ("saddr", "daddr"):
            yield from (
                dev
                for dev, ip in topology.addresses[HOST]
                if dev != "lo" and any(_meets(value, str(ip.network)) for value in values)
            )


def _meets(value: str, subnet: str) -> bool:
    """True for an address or prefix in a subnet, and for the subnet itself."""
    try:
        one, other = ip_network(value, strict=False), ip_network(subnet)
    except ValueError:
        return False
    return one.version == other.version and one.prefixlen >= other.prefixlen and one.overlaps(other)
