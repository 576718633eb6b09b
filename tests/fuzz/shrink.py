"""The fewest lines of a scenario that still differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shrunk(lines: Sequence[str], differ: Callable[[Sequence[str]], bool]) -> list[str]:
    """Leave out halves, quarters… and single lines, for as long as the rest still differs.

    Args:
        lines: a scenario that differs.
        differ: plays lines; True if the engines differ.
    """
    kept, size = list(lines), max(1, len(lines) // 2)
    while True:
        start, before = 0, len(kept)
        while start < len(kept):
            fewer = kept[:start] + kept[start + size :]
            if fewer and differ(fewer):
                kept = fewer
            else:
                start += size
        if size == 1 and len(kept) == before:
            return kept
        size = max(1, size // 2)
