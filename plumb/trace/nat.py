"""Rewriting: what NAT made of a packet, seen as the difference between two sightings of it.

A packet that was rewritten and came to no link after that is shown by the rules that it met then;
where it met none, the rule that rewrote it says in its own words what it made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from plumb.model.observations import RuleHit
from plumb.trace import headers
from plumb.trace.headers import Packet
from plumb.trace.path import Crossing, Rewritten, Step
from plumb.trace.rule_steps import RuleLine

NEW_DESTINATION = re.compile(
    r"(?:--to-destination|dnat(?: ip6?)? to) (\[[0-9a-f:]+\]|[0-9.]+)(?::(\d+))?"
)


def between(earlier: Crossing, later: Crossing) -> Iterator[Rewritten]:
    """What NAT has made of a packet between two sightings of it."""
    (a_from, a_to), (b_from, b_to) = (each.packet.ends.split(" > ") for each in (earlier, later))
    if a_to != b_to:
        yield Rewritten(later.place, "destination", a_to, b_to)
    if a_from != b_from:
        yield Rewritten(later.place, "source", a_from, b_from)


def since(last: Crossing, ruled: Sequence[RuleHit], steps: Sequence[Step]) -> Packet:
    """A packet as it is after its last sighting.

    As the rules of that place have seen it, or have made it.

    Args:
        ruled: what rules have seen of it.
        steps: the same in words.
    """
    if not last.inbound:
        return last.packet
    shown = [
        packet
        for step in ruled
        if step.place == last.place
        and step.indev
        and step.packet
        and (packet := headers.read(step.packet, ethernet=False))
    ]
    if shown and shown[-1].ends != last.packet.ends:
        return shown[-1]
    words = (
        NEW_DESTINATION.search(step.text)
        for step in steps
        if isinstance(step, RuleLine) and step.place == last.place
    )
    found = next((each for each in words if each), None)
    if found is None:
        return last.packet
    return replace(
        last.packet, dst=ip_address(found[1].strip("[]")), dport=int(found[2] or last.packet.dport)
    )
