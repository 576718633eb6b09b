"""`python -m tests.bench.picture FILE`: the parts in a bench's JSON as bars."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.bench.parts import CLOCK, FLOOR, PROCESSOR, REMOVE, RUN, SECTION

WIDTH = 40
"""Characters of the longest bar."""


def bars(figures: list[dict[str, Any]], column: str) -> list[str]:
    """The parts of a column, the dearest first, with their share of the whole."""
    found = {
        each["row"]: each["median"]
        for each in figures
        if (each["section"], each["column"]) == (SECTION, column)
    }
    whole = found[PROCESSOR]
    parts = {row: took for row, took in found.items() if row not in (CLOCK, FLOOR, PROCESSOR)}
    most = max(parts.values())
    return [
        f"{row:24} {took / whole:4.0%}  {'#' * round(took / most * WIDTH)}".rstrip()
        for row, took in sorted(parts.items(), key=lambda part: -part[1])
    ]


def main() -> None:
    """Print the bars of a container that comes, and of one that goes."""
    figures = json.loads(Path(sys.argv[1]).read_text())["figures"]
    for column in (RUN, REMOVE):
        sys.stdout.write("\n".join([f"{column}:", *bars(figures, column), "", ""]))


if __name__ == "__main__":
    main()
