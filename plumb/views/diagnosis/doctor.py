"""Findings of `plumb doctor` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from plumb.foreign.fields import printable
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot

GRADES = {Grade.PROVEN: "proven", Grade.LIKELY: "likely", Grade.HINT: "a hint"}
COLOURS = {Severity.PROBLEM: "\x1b[31m", Severity.WARNING: "\x1b[33m"}
GREEN, BOLD, PLAIN = "\x1b[32m", "\x1b[1m", "\x1b[0m"


def lines(
    found: Sequence[Finding], snapshot: Snapshot, titles: Iterable[str], page: str, colour: bool
) -> Iterator[str]:
    """Findings as text.

    Names are others': of a link or a program nothing reaches the terminal that it would obey.

    Args:
        found: the findings, in their order.
        snapshot: what was read.
        titles: what was looked at.
        page: the page with a section for each finding.
        colour: with a terminal's colours.
    """
    for finding in found:
        yield from _finding(finding, page, colour)
        yield ""
    word = _verdict(found)
    yield f"{GREEN}{word}{PLAIN}" if colour and not found else word
    yield f"looked at: {_clean(_looked_at(snapshot))}"
    yield f"           {', '.join(dict.fromkeys(titles))}"


def _finding(finding: Finding, page: str, colour: bool) -> Iterator[str]:
    head = _clean(f"{finding.severity} ({GRADES[finding.grade]}): {finding.subject}")
    yield f"{COLOURS[finding.severity]}{head}{PLAIN}" if colour else head
    for each in finding.read:
        yield f"  read: {_clean(each)}"
    yield f"  {_clean(finding.why)}"
    for number, remedy in enumerate(finding.remedies):
        yield f"  {'or' if number else 'try'}: {_clean(str(remedy))}"
    yield f"  {page}#{finding.id}"


def _clean(text: str) -> str:
    return printable(text, len(text))


def _verdict(found: Sequence[Finding]) -> str:
    problems = sum(each.severity is Severity.PROBLEM for each in found)
    warnings = len(found) - problems
    counts = [
        f"{count} {word}{'s' * (count > 1)}"
        for count, word in ((problems, "problem"), (warnings, "warning"))
        if count
    ]
    return ", ".join(counts) or "no problem found"


def _looked_at(snapshot: Snapshot) -> str:
    engines = {*snapshot.engines, *(net.engine for net in snapshot.networks)}
    chains = sum(len(chain.rules) for chain in snapshot.host.chains)
    counts = (
        (1 + len(snapshot.spaces), "namespace"),
        (len(snapshot.containers), "container"),
        (len(snapshot.networks), "network"),
        (chains, "firewall rule"),
    )
    words = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts]
    return f"{', '.join(words)} ({', '.join(sorted(engines))})"


def document(finding: Finding, page: str) -> Mapping[str, Any]:
    """A finding as a JSON object."""
    return {
        "ID": finding.id,
        "Severity": str(finding.severity),
        "Grade": str(finding.grade),
        "Subject": finding.subject,
        "About": list(finding.about),
        "Read": list(finding.read),
        "Why": finding.why,
        "Remedies": list(map(str, finding.remedies)),
        "Page": f"{page}#{finding.id}",
    }
