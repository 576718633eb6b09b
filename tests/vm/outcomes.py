"""What came of the tests, read from pytest's reports (JUnit's XML), and several of these as one
summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

KINDS = ("failed", "error", "passed", "skipped", "xfailed")
AGAIN = " again"
"""The end of the name of a run in which the failures of another were tried alone."""


@dataclass(frozen=True)
class Outcomes:
    """What came of each test.

    Attributes:
        found: by test (its class and its name): one of KINDS.
        reasons: by test that was skipped: why.
        seconds: how long it took.
    """

    found: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0

    def having(self, kind: str) -> set[tuple[str, str]]:
        """The tests that came to this."""
        return {test for test, found in self.found.items() if found == kind}

    def failures(self) -> set[tuple[str, str]]:
        """The tests that failed, or could not be set up or torn down."""
        return self.having("failed") | self.having("error")

    def __str__(self) -> str:
        numbers = Counter(self.found.values())
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            ", ".join(f"{numbers[kind]} {kind}" for kind in KINDS if numbers[kind])
            + f" in {minutes}:{seconds:02}"
        )


def read(report: Path) -> Outcomes:
    """The outcomes in a report."""
    found: dict[tuple[str, str], str] = {}
    reasons: dict[tuple[str, str], str] = {}
    suites = list(ElementTree.parse(report).iter("testsuite"))
    for case in (case for suite in suites for case in suite.iter("testcase")):
        test = (case.get("classname", ""), case.get("name", ""))
        found[test] = _kind(case, found.get(test, "passed"))
        if (skipped := case.find("skipped")) is not None:
            reasons[test] = skipped.get("message", "")
    return Outcomes(found, reasons, sum(float(suite.get("time", 0)) for suite in suites))


def _kind(case: ElementTree.Element, before: str) -> str:
    """What came of a test; one that fails and cannot be torn down either has two entries."""
    for tag, kind in (("failure", "failed"), ("error", "error")):
        if case.find(tag) is not None:
            return kind
    skipped = case.find("skipped")
    return (
        before
        if skipped is None
        else "xfailed"
        if skipped.get("type") == "pytest.xfail"
        else "skipped"
    )


def summary(runs: Mapping[str, Outcomes]) -> str:
    """All runs in a few lines.

    What each came to, what failed in which, and what could be run in none, with the reasons.
    """
    width = max(map(len, runs))
    lines = [f"{name:{width}}  {outcomes}" for name, outcomes in runs.items()]
    lines += [
        f"{'UNSTEADY' if test in unsteady(runs, name) else kind.upper()} {name}: {node(test)}"
        for name, outcomes in runs.items()
        for kind in ("failed", "error")
        for test in sorted(outcomes.having(kind))
    ]
    ran = {
        test
        for outcomes in runs.values()
        for test, kind in outcomes.found.items()
        if kind != "skipped"
    }
    nowhere = {
        test: reason
        for outcomes in runs.values()
        for test, reason in outcomes.reasons.items()
        if test not in ran
    }
    if nowhere:
        lines.append("could be run nowhere:")
        lines += [
            f"{number:5}  {reason}" for reason, number in Counter(nowhere.values()).most_common()
        ]
    return "\n".join(lines)


def closing_line(runs: Mapping[str, Outcomes]) -> str:
    """Say in one line how many passed, failed and were run in no run, each test counted once."""
    kinds: dict[tuple[str, str], set[str]] = {}
    wavering = {test for name in runs for test in unsteady(runs, name)}
    for name, outcomes in runs.items():
        for test, kind in outcomes.found.items():
            kinds.setdefault(test, set()).add("passed" if test in unsteady(runs, name) else kind)
    failed = sum(bool(found & {"failed", "error"}) for found in kinds.values())
    skipped = sum(found <= {"skipped", "xfailed"} for found in kinds.values())
    passed = len(kinds) - failed - skipped
    said = f", {len(wavering)} of the passed unsteady" if wavering else ""
    return f"{passed} passed, {failed} failed, {skipped} skipped{said}"


def unsteady(runs: Mapping[str, Outcomes], name: str) -> set[tuple[str, str]]:
    """The tests that failed in a run, beside all others, and passed when they were run alone."""
    again = runs.get(name + AGAIN, Outcomes())
    return runs[name].failures() & again.having("passed")


def node(test: tuple[str, str]) -> str:
    """The node id of a test, by which pytest runs it."""
    return f"{test[0].replace('.', '/')}.py::{test[1]}"
