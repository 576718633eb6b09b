"""Matrix: a table of reachability, and the list of differences from the promises.

Rows are clients, columns are targets. A cell stands for all promises between the two: all
addresses, ping, TCP and UDP.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from plumb.probes.matrix import Matrix, Outcome
from plumb.probes.promises.balancing import ServiceOutcome
from plumb.probes.promises.dns_names import NameOutcome
from plumb.probes.promises.duplicate_addresses import Claimed
from plumb.probes.promises.promise import Promise
from plumb.probes.promises.verdicts import Observation, Verdict
from plumb.probes.promises.written import WrittenOutcome

REACHED, APART, PARTLY, BROKEN, UNSHOWN, NOTHING, ITSELF = "●", "·", "◐", "✗", "?", " ", "-"
LEGEND = {
    REACHED: "reached",
    APART: "not reached",
    PARTLY: "by some addresses or protocols",
    BROKEN: "not as promised",
    UNSHOWN: "not shown",
}
COLOURS = {BROKEN: "red", UNSHOWN: "yellow", REACHED: "green", PARTLY: "cyan"}
WIDE = 100
"""Columns of a terminal for names; a wider table has numbers in their place."""
MOST = 40
"""Members that are shown one by one; among more, equal ones share a row and a column."""
LISTED = 50
"""Differences that are printed; --json has all."""
Paint = Callable[[str], str]


def tables(
    found: Matrix, alike: Mapping[str, str], paint: Paint = lambda symbol: symbol
) -> Iterator[str]:
    """Tables of reachability, of published ports and of names; then the legend.

    Args:
        alike: the common name of equal members, by name; used where there are more than MOST.
        paint: gives a symbol its colour.
    """
    grouped = alike if len(found.members) > MOST else {}
    rows = list(dict.fromkeys(grouped.get(name, name) for name in found.members))
    own = [each for each in found.reach if each.promise.service is None]
    used = set()
    for title, columns, cells in (
        (
            "who reaches whom",
            rows,
            _cells(own, grouped, lambda promise: grouped.get(promise.target, promise.target)),
        ),
        (
            "published ports",
            list(
                dict.fromkeys(
                    _port(each.promise, grouped) for each in found.reach if each.promise.service
                )
            ),
            _cells(
                [each for each in found.reach if each.promise.service],
                grouped,
                lambda promise: _port(promise, grouped),
            ),
        ),
        (
            "services",
            list(dict.fromkeys(each.promise.title for each in found.services)),
            _services(found.services, grouped),
        ),
        ("who knows whose name", rows, _names(found.names, grouped, found.members)),
    ):
        clients = [row for row in rows if any((row, column) in cells for column in columns)]
        targets = [column for column in columns if any((row, column) in cells for row in rows)]
        if targets:
            used |= set(cells.values())
            yield _table(title, clients, targets, cells, paint, grouped)
    if found.written:
        yield _written(found.written)
    yield (
        "   ".join(f"{paint(symbol)} {words}" for symbol, words in LEGEND.items() if symbol in used)
        + "\n"
    )


def _written(outcomes: Sequence[WrittenOutcome]) -> str:
    """Lines about promises of compose files, project by project."""
    lines = []
    for project in dict.fromkeys(each.project for each in outcomes):
        lines.append(f"promises of project {project}")
        own = (each for each in outcomes if each.project == project)
        lines += [f"  {WORDS[each.verdict]:<9} {each.text}" for each in own]
    return "\n".join(lines) + "\n"


WORDS = {Verdict.KEPT: "kept", Verdict.BROKEN: "broken", Verdict.NOT_SHOWN: "not tried"}
"""Verdicts about a written promise."""


def _port(promise: Promise, grouped: Mapping[str, str]) -> str:
    assert promise.service is not None
    target = grouped.get(promise.target, promise.target)
    return f"{target}:{promise.service.own_port}/{promise.protocol}"


def _cells(
    outcomes: Sequence[Observation], grouped: Mapping[str, str], column: Callable[[Promise], str]
) -> dict[tuple[str, str], str]:
    parts: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for each in outcomes:
        parts[grouped.get(each.promise.source, each.promise.source), column(each.promise)].append(
            each
        )
    return {pair: _symbol(part) for pair, part in parts.items()}


def _services(
    outcomes: Sequence[ServiceOutcome], grouped: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    parts: dict[tuple[str, str], list[ServiceOutcome]] = defaultdict(list)
    for each in outcomes:
        source = grouped.get(each.promise.source, each.promise.source)
        parts[source, each.promise.title].append(each)
    return {pair: _symbol(part) for pair, part in parts.items()}


def _symbol(part: Sequence[Observation] | Sequence[ServiceOutcome]) -> str:
    verdicts = {each.verdict for each in part}
    if Verdict.BROKEN in verdicts:
        return BROKEN
    if Verdict.NOT_SHOWN in verdicts:
        return UNSHOWN
    reached = {each.reached for each in part}
    return PARTLY if len(reached) == 2 else REACHED if True in reached else APART


def _names(
    outcomes: Sequence[NameOutcome], grouped: Mapping[str, str], members: Sequence[str]
) -> dict[tuple[str, str], str]:
    parts: dict[tuple[str, str], list[NameOutcome]] = defaultdict(list)
    for each in outcomes:
        if each.promise.name in members:
            parts[
                grouped.get(each.promise.source, each.promise.source),
                grouped.get(each.promise.name, each.promise.name),
            ].append(each)
    return {
        pair: BROKEN
        if not all(each.kept for each in part)
        else REACHED
        if any(each.found for each in part)
        else APART
        for pair, part in parts.items()
    }


def _table(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], str],
    paint: Paint,
    grouped: Mapping[str, str],
) -> str:
    numbered = sum(len(column) + 3 for column in columns) + max(map(len, [title, *rows])) > WIDE
    order = {column: str(number) for number, column in enumerate(columns, 1)}
    heads = list(order.values()) if numbered else list(columns)
    gap = " " if numbered else "   "
    labels = [f"{order[row]} {row}" if numbered and row in order else row for row in rows]
    width = max(map(len, [title, *labels]))
    lines = [f"{title:{width}}{gap}{gap.join(heads)}"]
    if numbered and not set(columns) <= set(rows):
        lines = [
            f"{number}: {column}" for column, number in order.items() if column not in rows
        ] + lines
    for row, label in zip(rows, labels, strict=True):
        here = [
            cells.get(
                (row, column), ITSELF if row == column and row not in grouped.values() else NOTHING
            )
            for column in columns
        ]
        padded = (
            gap + paint(symbol) + " " * (len(head) - 1)
            for symbol, head in zip(here, heads, strict=True)
        )
        lines.append(f"{label:{width}}{''.join(padded)}".rstrip())
    return "\n".join(lines) + "\n"


def differences(found: Matrix) -> list[str]:
    """Observations that differ from the promises: promise, reason, observation and next step."""
    by_line: dict[str, list[str]] = {}
    for each in found.differing:
        line, protocol = _line(each)
        by_line.setdefault(line, []).append(protocol)
    lines = [
        f"{line} ({', '.join(dict.fromkeys(protocols))})" if any(protocols) else line
        for line, protocols in by_line.items()
    ]
    more = [f"… and {len(lines) - LISTED} more; --json has all"] if len(lines) > LISTED else []
    pairs = dict.fromkeys(
        hint
        for each in found.differing
        if isinstance(each, Observation)
        for hint in [_hint(each.promise)]
        if hint
    )
    return [*lines[:LISTED], *more, *list(pairs)[:3]]


def _line(each: Outcome) -> tuple[str, str]:
    """Format a difference: the line, which equal differences share, and its protocol."""
    if isinstance(each, Claimed):
        claim = each.claim
        return (
            (
                f"{claim.address} of {claim.owner} on {claim.network}"
                f" must be {claim.mac or 'its own'} alone: {each.observed}"
            ),
            "",
        )
    if isinstance(each, NameOutcome):
        found = " ".join(sorted(map(str, each.found))) or (
            "nothing" if each.answered else "no answer"
        )
        means = " ".join(sorted(map(str, each.promise.means))) or "nothing"
        return (
            (
                f"to {each.promise.source}, {each.promise.name} {each.promise.kind}"
                f" must mean {means} ({each.promise.why}): {found}"
            ),
            str(each.promise.protocol),
        )
    if isinstance(each, ServiceOutcome):
        return _service_line(each), ""
    if isinstance(each, WrittenOutcome):
        unshown = "not tried: " if each.verdict is Verdict.NOT_SHOWN else "not for "
        return f"project {each.project}: {each.text}: {unshown}{', '.join(each.pairs)}", ""
    promise = each.promise
    port = f" port {promise.service.port}" if promise.service else ""
    verb = "must reach" if promise.reach else "must not reach"
    source = f" as {' or '.join(each.expected)}" if each.reached and each.expected else ""
    observed = f"not shown: {each.doubt}" if each.verdict is Verdict.NOT_SHOWN else each.observed
    return (
        (
            f"{promise.source} {verb} {promise.target} at {promise.address}{port}{source}"
            f" ({promise.why}): {observed}"
        ),
        str(promise.protocol),
    )


def _service_line(each: ServiceOutcome) -> str:
    promise = each.promise
    kind = "/udp" if promise.protocol == "udp" else ""
    number = f" port {promise.port}{kind}" if promise.port else ""
    tasks = " and ".join(sorted(promise.chosen)) or (
        "a task on another host" if promise.slots else "no task"
    )
    unshown = "not shown: " if each.verdict is Verdict.NOT_SHOWN else ""
    return (
        f"{promise.source} must reach {tasks} by {promise.service} at {promise.address}{number}"
        f" ({promise.why}): {unshown}{each.observed}"
    )


def _hint(promise: Promise) -> str:
    if promise.source.startswith("(w"):
        return ""
    port = f":{promise.service.port}" if promise.service else ""
    kind = (
        ""
        if promise.protocol == ("tcp" if port else "icmp")
        else f"/{promise.protocol}"
        if port
        else ""
    )
    where = (
        f"[{promise.address}]{port}"
        if port and promise.address.version == 6
        else f"{promise.address}{port}"
    )
    return f"plumb trace {promise.source.strip('()')} {where}{kind}    shows where it ends"


def summary(found: Matrix) -> str:
    """Summary in a sentence: promises tried, and differences."""
    if not found.tried and not found.differing:
        return "nothing was tried: plumb has no running container here"
    broken = [
        each
        for each in found.differing
        if not (
            isinstance(each, Observation | ServiceOutcome | WrittenOutcome)
            and each.verdict is Verdict.NOT_SHOWN
        )
    ]
    unshown = len(found.differing) - len(broken)
    verdict = "all as promised" if not found.differing else f"{len(broken)} not as promised"
    return f"{found.tried} promises tried with real traffic: {verdict}" + (
        f", {unshown} not shown" if unshown else ""
    )


def documents(found: Matrix) -> Iterator[str]:
    """JSON objects, one a line: each promise with its outcome, and a summary at the end."""
    for each in found.reach:
        promise = each.promise
        yield json.dumps(
            {
                "kind": "reach",
                "from": promise.source,
                "to": promise.target,
                "address": str(promise.address),
                "protocol": str(promise.protocol),
                "port": promise.service.port if promise.service else None,
                "expected": promise.reach,
                "why": promise.why,
                "observed": each.reached,
                "verdict": str(each.verdict),
                "said": each.doubt or each.observed,
                "seen": each.source_address or None,
                "expected_seen": list(each.expected),
                "milliseconds": round(1000 * each.seconds, 3) if each.reached else None,
            }
        )
    for named in found.names:
        yield json.dumps(
            {
                "kind": "name",
                "from": named.promise.source,
                "name": named.promise.name,
                "type": str(named.promise.kind),
                "protocol": str(named.promise.protocol),
                "expected": sorted(map(str, named.promise.means)),
                "why": named.promise.why,
                "observed": sorted(map(str, named.found)),
                "verdict": str(Verdict.KEPT if named.kept else Verdict.BROKEN),
            }
        )
    for claimed in found.claims:
        yield json.dumps(
            {
                "kind": "owner",
                "owner": claimed.claim.owner,
                "network": claimed.claim.network,
                "address": str(claimed.claim.address),
                "expected": claimed.claim.mac or None,
                "observed": claimed.found,
                "verdict": str(Verdict.KEPT if claimed.kept else Verdict.BROKEN),
            }
        )
    yield from map(_service_document, found.services)
    for written in found.written:
        yield json.dumps(
            {
                "kind": "written",
                "project": written.project,
                "promise": written.text,
                "expected": written.reached,
                "verdict": str(written.verdict),
                "pairs": list(written.pairs),
            }
        )
    yield json.dumps(
        {
            "kind": "summary",
            "tried": found.tried,
            "differing": len(found.differing),
            "members": found.members,
        }
    )


def _service_document(each: ServiceOutcome) -> str:
    promise = each.promise
    return json.dumps(
        {
            "kind": "service",
            "from": promise.source,
            "service": promise.service,
            "address": str(promise.address),
            "port": promise.port or None,
            "protocol": str(promise.protocol),
            "expected": sorted(promise.chosen),
            "why": promise.why,
            "observed": dict(sorted(each.by_task.items())),
            "connections": each.tried,
            "verdict": str(each.verdict),
            "said": each.observed,
        }
    )
