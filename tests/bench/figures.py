"""Figures: samples in milliseconds, a table of their medians, and what was to be reached."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in ms; the rubbish of what went before is not counted."""
    gc.collect()
    return clocked(work)


def clocked(work: Callable[[], object]) -> float:
    """How long it takes, in ms."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def rounds(wanted: int, seconds: float) -> Iterator[int]:
    """So many rounds, at least one, but no further ones when the time is up."""
    begun = time.monotonic()
    for number in range(wanted):
        if number and time.monotonic() - begun > seconds:
            return
        yield number


def warmed(wanted: int, seconds: float) -> Iterator[int]:
    """Round 0, which fills caches and is not counted, and behind it `rounds`."""
    yield 0
    for number in rounds(wanted, seconds):
        yield number + 1


@dataclass
class Section:
    """A part of the table: rows, and columns that stand beside each other.

    Attributes:
        samples: by row and column.
        unit: what they are, where it is not ms.
    """

    title: str
    columns: tuple[str, ...]
    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    unit: str = "ms"

    def add(self, row: str, column: str, took: float) -> None:
        """One more sample."""
        assert column in self.columns, column
        self.samples.setdefault((row, column), []).append(took)

    def median(self, row: str, column: str) -> float:
        """The middle one."""
        return median(self.samples[row, column])

    def rows(self) -> list[str]:
        """The rows, in the order in which they came."""
        return list(dict.fromkeys(row for row, _ in self.samples))

    def lines(self) -> Iterator[str]:
        """The section as lines of the table."""
        wide = [max(WIDTH, len(column)) for column in self.columns]
        yield f"{self.title:{LABEL}}" + "".join(
            f"  {column:>{width}}" for column, width in zip(self.columns, wide, strict=True)
        )
        for row in self.rows():
            cells = (_cell(self.samples.get((row, column), [])) for column in self.columns)
            yield f"  {row:{LABEL - 2}}" + "".join(
                f"  {cell:>{width}}" for cell, width in zip(cells, wide, strict=True)
            )


LABEL, WIDTH = 34, 25


def _cell(samples: list[float]) -> str:
    if not samples:
        return "-"
    return f"{_number(median(samples))} ({_number(min(samples))} to {_number(max(samples))})"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


@dataclass
class Report:
    """All that was measured.

    Attributes:
        targets: what was to be reached, and whether it was.
        remarks: what else a reader should know: what was skipped, what was left out.
    """

    sections: list[Section] = field(default_factory=list)
    targets: list[tuple[str, bool]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def section(self, title: str, *columns: str, unit: str = "ms") -> Section:
        """A new part of the table."""
        made = Section(title if unit == "ms" else f"{title}, {unit}", columns, unit=unit)
        self.sections.append(made)
        return made

    def target(self, words: str, value: float, limit: float, unit: str = "ms") -> None:
        """Something that was to take no more than that."""
        self.targets.append((f"{words}: {value:,.2f} {unit}, at most {limit:,.2f}", value <= limit))

    def least(self, words: str, value: float, limit: float, unit: str = "times") -> None:
        """Something that was to be at least that."""
        self.targets.append(
            (f"{words}: {value:,.2f} {unit}, at least {limit:,.2f}", value >= limit)
        )

    def text(self) -> str:
        """The table, the targets, the remarks."""
        table = [line for section in self.sections for line in [*section.lines(), ""]]
        reached = [f"{'reached' if good else 'MISSED '}  {words}" for words, good in self.targets]
        return "\n".join(
            [
                "median (min to max), ms where nothing else is said",
                "",
                *table,
                *reached,
                "",
                *self.remarks,
            ]
        )

    def plain(self) -> dict[str, object]:
        """The same for a machine."""
        figures = [
            {
                "section": section.title,
                "row": row,
                "column": column,
                "median": section.median(row, column),
                "samples": samples,
                "unit": section.unit,
            }
            for section in self.sections
            for (row, column), samples in section.samples.items()
        ]
        return {
            "figures": figures,
            "remarks": self.remarks,
            "targets": [{"target": words, "reached": good} for words, good in self.targets],
        }
