"""Assembly: a story made of captured frames, rule hits and routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from plumb.model.observations import RuleHit
from plumb.trace import match_frames, nat, outcome, rule_steps
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Material, Rewritten, Routed, Step, Story
from plumb.trace.rule_steps import RuleLine


def assemble(of: Material) -> Story:
    """Put crossings, rule hits and routes in order, by direction and namespace."""
    begin, crossed = match_frames.crossings(of.frames, of.flow)
    ruled = match_frames.by_way(of.ruled, of.flow)
    for way, goal in ((Direction.THERE, of.target), (Direction.BACK, of.source)):
        merged = match_frames.gathered(crossed[way], goal, of.wires, of.exits)
        crossed[way] = match_frames.until(merged, goal)
    ways = {way: _way(way, crossed[way], ruled[way], of) for way in Direction}
    return Story(
        of.flow,
        of.source,
        of.target,
        ways,
        outcome.end(of, crossed, ruled, ways),
        begin,
        tuple(of.dropped),
    )


def _way(
    way: Direction, crossed: Sequence[Crossing], ruled: Sequence[RuleHit], of: Material
) -> tuple[Step, ...]:
    """Crossings of one direction, with the decisions between them."""
    steps: list[Step] = []
    left = {
        name: list(rule_steps.read(group, of.listings, of.reasons))
        for name, group in _by_place(ruled)
    }
    visits = [list(group) for _, group in groupby(crossed, key=lambda each: each.place.name)]
    for i, visit in enumerate(visits):
        name, passing = (
            visit[0].place.name,
            i + 1 < len(visits) and all(each.inbound for each in visit),
        )
        again = any(later[0].place.name == name for later in visits[i + 1 :])
        lines = [] if again and _departs(visit) else left.pop(name, [])
        route = None if passing else of.routes.get((name, way))
        steps += _visit(visit, lines, _last(steps), route, ruled)
    for name, lines in left.items():  # namespaces that dropped the packet before it came to a link
        route = of.routes.get((name, way))
        steps += [*([route] if route and not steps else []), *lines]
    return tuple(steps)


def _by_place(ruled: Sequence[RuleHit]) -> Iterator[tuple[str, list[RuleHit]]]:
    for name in dict.fromkeys(step.place.name for step in ruled):
        yield name, [step for step in ruled if step.place.name == name]


def _departs(visit: Sequence[Crossing]) -> bool:
    """Test for a visit that consists of a departure alone.

    The rule hits of a namespace belong to another visit, if there is one.
    """
    return len(visit) == 1 and not visit[0].inbound


def _last(steps: Sequence[Step]) -> Crossing | None:
    return next((step for step in reversed(steps) if isinstance(step, Crossing)), None)


def _visit(
    visit: Sequence[Crossing],
    lines: Sequence[RuleLine],
    before: Crossing | None,
    route: Routed | None,
    ruled: Sequence[RuleHit],
) -> list[Step]:
    """Steps in a namespace: crossings in, decisions in the order of the hooks, crossings out."""
    at = next((i for i, each in enumerate(visit) if not each.inbound), len(visit))
    came, left = visit[:at], visit[at:]
    earlier = came[-1] if came else before
    later = left[0] if left else replace(came[-1], packet=nat.since(came[-1], ruled, lines))
    changes = list(nat.between(earlier, later)) if earlier and earlier.place == later.place else []
    first = [line for line in lines if line.hook in ("prerouting", "output", "")]
    rest = [line for line in lines if line not in first]
    # A bridge's own rules (family bridge) come before those that br_netfilter calls.
    first.sort(key=lambda line: line.family != "bridge")
    asked = (
        route is not None
        and not any(line.drops for line in first)
        and (not left or not came or _routed(came, left))
    )
    decided: list[Step] = [
        *first,
        *_of(changes, "destination"),
        *([route] if route and asked else []),
        *rest,
        *_of(changes, "source"),
    ]
    return [*_row(came), *decided, *_row(left)]


def _of(changes: Sequence[Rewritten], what: str) -> list[Rewritten]:
    return [change for change in changes if change.what == what]


def _routed(came: Sequence[Crossing], left: Sequence[Crossing]) -> bool:
    """Test for a packet that a namespace routed rather than bridged.

    A router decrements the time to live (RFC 791, RFC 1812); a bridge leaves it.
    """
    return came[-1].packet.ttl != left[0].packet.ttl


def _row(crossed: Sequence[Crossing]) -> Iterator[Step]:
    """Successive crossings, with the rewriting between them.

    With br_netfilter, NAT also rewrites packets between a bridge's ports and the bridge.
    """
    for earlier, later in zip([None, *crossed], crossed, strict=False):
        if earlier is not None:
            yield from nat.between(earlier, later)
        yield later
