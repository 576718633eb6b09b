"""Descriptors of the agent's clients, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from plumb.kernel.agent_usage import PartyUsage
from plumb.things.host_ports import at

Json = dict[str, object]


def title(party: PartyUsage, sandboxes: Mapping[str, str]) -> str:
    """Name of what the clients come to: "port 0.0.0.0:8080/tcp", "DNS of web".

    Args:
        sandboxes: names of containers by namespace file.
    """
    if len(party.name) == 1:
        return f"DNS of {sandboxes.get(str(party.name[0]), party.name[0])}"
    protocol, ip, port = party.name
    return f"port {at(ip_address(ip), int(port))}/{protocol}"


def line(party: PartyUsage, sandboxes: Mapping[str, str]) -> str:
    """Sentence on what a party has, and what its clients lost at which bounds."""
    most = f", {party.peer_used} of them for {party.peer}" if party.peer else ""
    bounds = ", ".join(f"{name} {hits}" for name, hits in party.hits.items() if hits)
    ago = "" if party.seconds is None else f", last {party.seconds:.0f} s ago"
    return (
        f"{title(party, sandboxes)}: {party.used} of {party.bound} descriptors{most}; "
        f"clients refused: {party.refused}, closed for others: {party.closed} "
        f"(bounds met: {bounds or 'none'}{ago})"
    )


def summed(parties: Iterable[PartyUsage]) -> Json:
    """Numbers of some parties together."""
    found = list(parties)
    bounds: dict[str, int] = {}
    for party in found:
        for name, hits in party.hits.items():
            bounds[name] = bounds.get(name, 0) + hits
    return {
        "Descriptors": sum(party.used for party in found),
        "Refused": sum(party.refused for party in found),
        "Closed": sum(party.closed for party in found),
        "Bounds": bounds,
    }


def warning(party: PartyUsage, sandboxes: Mapping[str, str]) -> Json:
    """A party that is short of descriptors, in the form of a row of `check --json`."""
    return {
        "State": "short",
        "Key": ("descriptors", *party.name),
        "Thing": title(party, sandboxes),
        "Now": line(party, sandboxes),
        **summed([party]),
    }
