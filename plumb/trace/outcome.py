"""Outcome: the end of a story, from the last crossings, rule hits and the client's socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from plumb.model.observations import Netns, RuleHit
from plumb.trace import nat
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, End, Ending, Material, Step
from plumb.trace.rule_steps import RuleLine

NOBODY = ("port unreachable", "protocol unreachable")
"""ICMP errors of a namespace that received the packet, and has no socket for it."""


def end(
    of: Material,
    crossed: Mapping[Direction, Sequence[Crossing]],
    ruled: Mapping[Direction, Sequence[RuleHit]],
    ways: Mapping[Direction, Sequence[Step]],
) -> End:
    """Find the end of a story."""
    if of.outcome.answered:
        return End(Ending.ANSWERED, Direction.BACK, of.source)
    replies = crossed[Direction.BACK]
    for way in (Direction.THERE, Direction.BACK):
        line = next((step for step in ways[way] if isinstance(step, RuleLine) and step.drops), None)
        if line is not None:
            error = replies[0].packet.kind if replies and line.rejects else ""
            last = _last(crossed[way], line.place)
            packet = nat.since(last, ruled[way], ways[way]) if last else None
            ending, dev = Ending.REJECTED if error else Ending.DROPPED, last.dev if last else ""
            return End(ending, way, line.place, dev, packet=packet, line=line, error=error)
    answers = [each for each in replies if each.packet.about is None]
    if answers:
        return _answer(
            answers, ruled[Direction.BACK], crossed[Direction.COMPLAINT], ways[Direction.BACK], of
        )
    if replies:
        return _refused(replies[0])
    return _question(crossed[Direction.THERE], ruled[Direction.THERE], ways[Direction.THERE], of)


def _last(crossed: Sequence[Crossing], place: Netns) -> Crossing | None:
    return next((each for each in reversed(crossed) if each.place == place), None)


def _answer(
    answers: Sequence[Crossing],
    ruled: Sequence[RuleHit],
    complaints: Sequence[Crossing],
    steps: Sequence[Step],
    of: Material,
) -> End:
    """End of a story with a captured reply: refused, or lost on the way back."""
    first, last = answers[0], answers[-1]
    if last.place == of.source and (
        last.inbound or first.place == last.place
    ):  # it reached the client
        return End(
            Ending.REFUSED,
            Direction.BACK,
            first.place,
            first.dev,
            first.inbound,
            first.packet,
            error=of.outcome.error,
        )
    packet, error = nat.since(last, ruled, steps), complaints[0].packet.kind if complaints else ""
    return _kernel(
        of,
        End(Ending.LOST, Direction.BACK, last.place, last.dev, last.inbound, packet, error=error),
    )


def _refused(error: Crossing) -> End:
    """End of a story with an ICMP error, by its sender and kind."""
    ending = Ending.REFUSED if error.packet.kind in NOBODY else Ending.REJECTED
    return End(
        ending,
        Direction.BACK,
        error.place,
        error.dev,
        error.inbound,
        error.packet,
        error=error.packet.kind,
    )


def _question(
    crossed: Sequence[Crossing], ruled: Sequence[RuleHit], steps: Sequence[Step], of: Material
) -> End:
    if not crossed:
        return _kernel(of, End(Ending.UNSENT, place=of.source, error=of.outcome.error))
    last = crossed[-1]
    at = End(
        Ending.LOST,
        Direction.THERE,
        last.place,
        last.dev,
        last.inbound,
        nat.since(last, ruled, steps),
    )
    if last.place == of.target and last.inbound:
        return _kernel(
            of, replace(at, ending=Ending.ARRIVED if of.outcome.accepts else Ending.SILENT)
        )
    if (
        last.place in of.proxies
        and last.inbound
        and of.outcome.accepts
        and at.packet == last.packet
    ):
        return replace(at, ending=Ending.ARRIVED)
    return _kernel(of, at)


def _kernel(of: Material, found: End) -> End:
    """Add the kernel's drop reason to an end, if the kernel reported one for this packet."""
    drop = next((drop for drop in of.dropped if drop.sure), None)
    if drop is None or found.ending is Ending.ARRIVED:
        return found
    ending = found.ending if found.ending is Ending.UNSENT else Ending.DROPPED
    return replace(found, ending=ending, error=drop.reason, function=drop.function)
