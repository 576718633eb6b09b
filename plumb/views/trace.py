"""The path of a packet and of its reply, as lines of text for people, and as JSON for programs.

Each link that the packet crossed is a line. Between them are the decisions: rules, rewritten
addresses, routes. docs/trace.md explains an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from plumb.things.host_ports import at
from plumb.trace.headers import Direction, Packet
from plumb.trace.path import Crossing, End, Ending, Rewritten, Routed, Step, Story, Tunnelled
from plumb.trace.rule_steps import RuleLine

if TYPE_CHECKING:
    from plumb.trace.report import Report

Titles = Mapping[tuple[str, str], str]
LABEL, WIDTH = 26, 120
"""Columns of the words before a rule, and of a sentence."""


class Row(NamedTuple):
    """A line of text, and its colour, or none."""

    text: str
    colour: str = ""


def rows(report: Report) -> Iterator[Row]:
    """A report for people, line by line."""
    yield Row(heading(report), "bold")
    story, titles = report.story, report.topology.titles
    for steps in story.ways.values():
        if steps:
            yield Row("")
        yield from _ladder(steps, titles)
    yield Row("")
    yield Row(ending(story, titles), "green" if story.end.good else "red")
    for sentence in report.choice:
        yield Row(sentence, "magenta")
    for words in report.missing:
        yield Row(f"not seen: {words}", "yellow")
    if report.cause is not None:
        yield from _cause(report)
    for remark in report.remarks:
        yield Row(f"note: {remark}", "yellow")
    if report.after is not None:
        yield Row("")
        yield Row("the proxy asks in the client's stead; so does this:")
        yield from rows(report.after)


def heading(report: Report) -> str:
    """Heading of a report: source and target, and the published port's container."""
    request, published = report.request, report.request.published
    flow = request.question
    target = at(flow.ip, flow.port) if flow.port else str(flow.ip)
    means = f"   {target}/{flow.protocol}"
    if published is not None:
        port = published.port
        means += f" is {published.member.box.name}'s port {port.port}/{port.protocol}"
        means += f", on {published.net.name}"
    return f"{request.asked[0]} → {request.asked[1]}{means}"


# -- the ladder ---------------------------------------------------------------


def _ladder(steps: tuple[Step, ...], titles: Titles) -> Iterator[Row]:
    width = max((len(step.place.name) for step in steps), default=0)
    column = max((len(_spot(step)) for step in steps if isinstance(step, Crossing)), default=0)
    shown, place = "", ""
    for step in steps:
        name = step.place.name
        if isinstance(step, Crossing):
            yield Row(_crossing(step, titles, width, column, shown), "cyan")
            shown = str(step.packet)
        else:
            yield from _decided(step, f"  {('│' if name == place else name).ljust(width)}   ")
        place = name


def _spot(step: Crossing) -> str:
    return f"{step.dev} {'in' if step.inbound else 'out'}"


def _crossing(step: Crossing, titles: Titles, width: int, column: int, shown: str) -> str:
    title = titles.get((step.place.name, step.dev), "")
    more = f" and by {', '.join(step.also)}" if step.also else ""
    packet = "" if shown == str(step.packet) else str(step.packet)
    time = f"+{step.after / 1000:.0f} µs" if step.after else ""
    words = "   ".join(filter(None, (packet, title + more, time)))
    return f"  {step.place.name.ljust(width)}  {_spot(step).ljust(column)}   {words}".rstrip()


def _decided(step: RuleLine | Rewritten | Routed | Tunnelled, margin: str) -> Iterator[Row]:
    """Lines for one decision; only the first line names the namespace."""
    below = margin if margin.lstrip().startswith("│") else "  │".ljust(len(margin))
    match step:
        case RuleLine():
            label = step.named
            if len(label) > LABEL:
                yield Row(f"{margin} {label}")
                label, margin = "", below
            yield Row(f"{margin} {label.ljust(LABEL)} {step.text}", "red" if step.drops else "")
            if step.why:
                yield Row(f"{below} {'':{LABEL}} {step.why}", "bright_black")
        case Rewritten():
            yield Row(f"{margin} {step.what:{LABEL}} {step.before} → {step.now}", "magenta")
        case Routed():
            yield Row(f"{margin} {'route':{LABEL}} {step.text}")
        case Tunnelled():
            yield from _tunnelled(step, margin, below)


def _tunnelled(step: Tunnelled, margin: str, below: str) -> Iterator[Row]:
    """Lines for a packet in VXLAN: the FDB entry, and the outer packet on the host's link."""
    if step.dst is None or step.src is None:
        yield Row(f"{margin} {'fdb':{LABEL}} {step.dev} has no entry of {step.mac}", "red")
        return
    peer = step.src if step.inbound else step.dst
    way = "comes from" if step.inbound else "goes to"
    yield Row(f"{margin} {'fdb':{LABEL}} {step.mac} dev {step.dev} dst {peer}")
    yield Row(
        f"{below} {'vxlan':{LABEL}} {way} VTEP {peer} by {step.uplink or 'no link'}: "
        f"{step.src} > {step.dst}, UDP {step.port}, VNI {step.vni}",
        "magenta",
    )
    if step.spi is not None:
        state = f"SPI {step.spi:#010x}" if step.spi else "by a state of the other host's choice"
        yield Row(f"{below} {'esp':{LABEL}} encrypted on the wire, {state}", "magenta")


# -- the ending ---------------------------------------------------------------


def _rejecter(end: End, place: str) -> str:
    """Sender of an ICMP error, which no watched namespace is where the error first came in."""
    if end.inbound and end.dev and end.line is None and end.packet is not None:
        return f"{end.packet.src}, behind {place}:{end.dev}"
    return place


def ending(story: Story, titles: Titles) -> str:
    """A sentence about the last step of a story."""
    end, what = story.end, "the question" if story.end.way is Direction.THERE else "the answer"
    place = end.place.name if end.place else ""
    match end.ending:
        case Ending.ANSWERED:
            return f"answered after {story.took / 1000:.0f} µs" if story.took else "answered"
        case Ending.ARRIVED:
            return f"arrived at {place}, where somebody listens; no answer came, and none need come"
        case Ending.REFUSED:
            how = (
                "with a RST"
                if end.packet and end.packet.about is None
                else f"with an ICMP error: {end.error}"
            )
            return f"refused by {place}, {how}"
        case Ending.REJECTED:
            return f"turned back by {_rejecter(end, place)}, with an ICMP error: {end.error}"
        case Ending.HELD:
            return f"answered by {place} itself, at a port that a program holds and does not serve"
        case Ending.SILENT:
            return f"arrived at {place} by {end.dev}; no answer left it"
        case Ending.UNSENT:
            error = f" ({end.error})" if end.error else ""
            return f"not sent: nothing of it was seen on any link{error}"
        case Ending.DROPPED if end.line is not None:
            return f"{what} was dropped in {place} by {end.line.named}: {end.line.text}"
        case Ending.DROPPED:
            function = f" in {end.function}()" if end.function else ""
            return f"{what} was dropped in {place}{_after(end, titles)}: {end.error}{function}"
        case Ending.BEYOND:
            function = f" in {end.function}()" if end.function else ""
            return (
                f"{what} was dropped{_after(end, titles)}, beyond what was watched:"
                f" {end.error}{function}"
            )
        case Ending.LOST:
            return f"{what} was lost{_after(end, titles)}"


def _after(end: End, titles: Titles) -> str:
    if end.place is None or not end.dev:
        return ""
    title = titles.get((end.place.name, end.dev), "")
    verb = "had it in by" if end.inbound else "sent it out by"
    return f" after {end.place.name} {verb} {end.dev}{f' ({title})' if title else ''}"


def _cause(report: Report) -> Iterator[Row]:
    cause = report.cause
    assert cause is not None
    yield Row("")
    for line in wrap(
        f"{'cause' if cause.sure else 'probably'}: {cause.says}", WIDTH, subsequent_indent="  "
    ):
        yield Row(line, "bold")
    for reading in cause.evidence:
        yield Row(f"  seen: {reading}")
    for number, remedy in enumerate(cause.remedies):
        yield Row(f"  {'or' if number else 'try'}: {remedy}", "green")


# -- for programs ---------------------------------------------------------------


def document(report: Report) -> dict[str, Any]:
    """A report as a JSON document, whose keys stay."""
    request, published = report.request, report.request.published
    story, cause = report.story, report.cause
    return {
        "From": request.asked[0],
        "To": request.asked[1],
        "Address": str(request.question.ip),
        "Port": request.question.port,
        "Protocol": request.question.protocol,
        "SourcePort": story.flow.token,
        "Published": None
        if published is None
        else {
            "Container": published.member.box.name,
            "Network": published.net.name,
            "Port": published.port.port,
            "Address": str(published.end.target(published.port)),
        },
        "There": [_step(step, report.topology.titles) for step in story.ways[Direction.THERE]],
        "Back": [_step(step, report.topology.titles) for step in story.ways[Direction.BACK]],
        "End": _end(story.end, report.topology.titles, story),
        "Cause": None
        if cause is None
        else {
            "Id": cause.id,
            "Sure": cause.sure,
            "Says": cause.says,
            "Evidence": list(cause.evidence),
            "Remedies": list(cause.remedies),
        },
        "Notes": [*report.remarks, *(f"not seen: {words}" for words in report.missing)],
        "Choice": list(report.choice),
        "Good": report.good,
        "Proxied": None if report.after is None else document(report.after),
    }


def _step(step: Step, titles: Titles) -> dict[str, Any]:
    match step:
        case Crossing():
            return {
                "Kind": "link",
                "Place": step.place.name,
                "Link": step.dev,
                "In": step.inbound,
                "About": titles.get((step.place.name, step.dev), ""),
                "Nanoseconds": step.after,
                "Packet": _packet(step.packet),
            }
        case RuleLine():
            return {
                "Kind": "rule",
                "Place": step.place.name,
                "Hook": step.hook,
                "Family": step.family,
                "Table": step.table,
                "Chain": step.chain,
                "Number": step.number,
                "Text": step.text,
                "Verdict": step.verdict,
                "Why": step.why,
            }
        case Rewritten():
            return {
                "Kind": "nat",
                "Place": step.place.name,
                "What": step.what,
                "Before": step.before,
                "Now": step.now,
            }
        case Routed():
            return {"Kind": "route", "Place": step.place.name, "Text": step.text}
        case Tunnelled():
            return {
                "Kind": "vxlan",
                "Place": step.place.name,
                "Link": step.dev,
                "In": step.inbound,
                "Vni": step.vni,
                "Mac": step.mac,
                "Source": str(step.src or ""),
                "Destination": str(step.dst or ""),
                "DestinationPort": step.port,
                "Uplink": step.uplink,
                "Spi": step.spi,
            }


def _packet(packet: Packet) -> dict[str, Any]:
    return {
        "Source": str(packet.src),
        "SourcePort": packet.sport,
        "Destination": str(packet.dst),
        "DestinationPort": packet.dport,
        "Protocol": packet.protocol,
        "Kind": packet.kind,
        "TimeToLive": packet.ttl,
        "Length": packet.length,
    }


def _end(end: End, titles: Titles, story: Story) -> dict[str, Any]:
    return {
        "Ending": end.ending,
        "Way": end.way,
        "Place": end.place.name if end.place else "",
        "Link": end.dev,
        "Rule": None if end.line is None else _step(end.line, titles),
        "Reason": end.error,
        "Function": end.function,
        "Says": ending(story, titles),
    }
