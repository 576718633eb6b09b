"""A packet's story for a page: its steps, each with the object of the picture where it happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from plumb.draw.picture import End
from plumb.frozen import frozen
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Rewritten, Routed, Step, Tunnelled
from plumb.trace.rule_steps import RuleLine
from plumb.views import trace as view

if TYPE_CHECKING:
    from plumb.trace.report import Report


@frozen
class Shown:
    """A step of a story.

    Attributes:
        at: where it happens: an interface, or a whole namespace.
        way: "there", "back" or "complaint", from the client or from the proxy.
        kind: "link", "rule", "nat", "route", "vxlan" or "drop".
        what: what happens, in words; text: the packet, or the rule; why: its reason.
    """

    at: End
    way: str
    kind: str
    what: str
    text: str
    why: str = ""


@frozen
class PlayedStory:
    """A story.

    Attributes:
        title: the packet; steps: those of the way there, then those of the way back.
        ending: a sentence about the end; good: the packet was answered, or need not be.
        notes: the cause, what was read of it, remedies, remarks.
    """

    title: str
    steps: tuple[Shown, ...]
    ending: str
    good: bool
    notes: tuple[str, ...] = ()


def played(report: Report) -> PlayedStory:
    """A trace's report as a story; behind a user-land proxy the proxy's packet is a part of it."""
    titles = report.topology.titles
    return PlayedStory(
        view.heading(report),
        tuple(_steps(report)),
        view.ending(report.story, titles),
        report.good,
        tuple(_notes(report)),
    )


def _steps(report: Report, prefix: str = "") -> Iterator[Shown]:
    for way in Direction:
        for step in report.story.ways.get(way, ()):
            yield _step(step, f"{prefix}{way}", report)
    if report.after is not None:
        yield from _steps(report.after, "from the proxy ")


def _step(step: Step, way: str, report: Report) -> Shown:
    place = End(step.place.name, "")
    match step:
        case Crossing():
            what = f"{step.dev} {'in' if step.inbound else 'out'}"
            title = report.topology.titles.get((step.place.name, step.dev), "")
            end = End(step.place.name, step.dev)
            return Shown(end, way, "link", what, str(step.packet), title)
        case RuleLine():
            kind = "drop" if step.drops else "rule"
            return Shown(place, way, kind, step.named, step.text, step.why)
        case Rewritten():
            return Shown(place, way, "nat", f"NAT: {step.what}", f"{step.before} → {step.now}")
        case Routed():
            return Shown(place, way, "route", "route", step.text)
        case Tunnelled():
            end = End(step.place.name, step.dev)
            outer = f"{step.src} > {step.dst}, UDP {step.port}, VNI {step.vni}"
            return Shown(end, way, "vxlan", "VXLAN", outer, f"MAC address {step.mac}")


def _notes(report: Report) -> Iterator[str]:
    yield from report.choice
    cause = report.cause
    if cause is not None:
        yield f"{'cause' if cause.sure else 'probably'}: {cause.says}"
        yield from (f"seen: {reading}" for reading in cause.evidence)
        yield from (f"try: {remedy}" for remedy in cause.remedies)
    yield from (f"note: {remark}" for remark in report.remarks)
    yield from (f"not seen: {words}" for words in report.missing)
    if report.after is not None:
        yield "behind the proxy: " + view.ending(report.after.story, report.after.topology.titles)
