"""NAT: rewritten addresses, found as the difference between two crossings of a packet.

For a packet that crossed no link after NAT, the addresses come from later rule hits; without any,
from the text of the rule that rewrote the packet.
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
    """Compare two crossings of a packet, and yield its rewritten addresses."""
    (a_from, a_to), (b_from, b_to) = (each.packet.ends.split(" > ") for each in (earlier, later))
    if a_to != b_to:
        yield Rewritten(later.place, "destination", a_to, b_to)
    if a_from != b_from:
        yield Rewritten(later.place, "source", a_from, b_from)


def since(last: Crossing, ruled: Sequence[RuleHit], steps: Sequence[Step]) -> Packet:
    """Packet after its last crossing, as the rules of that namespace rewrote it.

    Args:
        ruled: rule hits of the packet.
        steps: the same hits with the rules' text.
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
