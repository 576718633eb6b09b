"""Sampling: tests that are dear and rarely fail are run in part, another part every day.

    PLUMB_TESTS_SEED=20260101    the seed that decides which part; the date where none is given
    PLUMB_TESTS_LONG=1           no sampling: everything, as `make test-long` has it
    PLUMB_TESTS_SHORT=1          one in five of the tests of the modules in dear.txt, and of those
                                 that run alone, as `make test` has it; CI has them all

The seed is in the head of pytest's output; the same seed draws the same part. There are three ways
to sample:

    @pytest.mark.sampled(3)      one third of such tests is run, the others are deselected
    @pytest.mark.sampled(3, "name")    the same of each value that the parameter `name` has
    drawn(steps, 8, "case")      eight of the steps that a test would walk
    share(1000)                  a count (of examples, of packets) that a fifth of stands for
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
SEED, LONG, SHORT = "PLUMB_TESTS_SEED", "PLUMB_TESTS_LONG", "PLUMB_TESTS_SHORT"
SHARE = 5
"""The part of a count that a sampled run has: one in so many."""
DEAR = Path(__file__).with_name("dear.txt")
"""Modules whose tests take most of the suite's time, a line each."""


def seed() -> int:
    """The seed of this run, the same in all of its processes, which inherit it."""
    return int(os.environ.setdefault(SEED, f"{datetime.now(UTC):%Y%m%d}"))


def complete() -> bool:
    """Whether everything is to be run."""
    return bool(os.environ.get(LONG))


def header() -> str:
    """A line about the sample for the head of the output."""
    if complete():
        return "sampled: nothing, all is run"
    short = f", one in {SHARE} of the modules in {DEAR.name}" if os.environ.get(SHORT) else ""
    return f"sampled: {SEED}={seed()}{short}"


def share(count: int) -> int:
    """A count in a complete run, the part of it that stands for it in a sampled one."""
    return count if complete() else max(1, count // SHARE)


def dice(key: str) -> random.Random:
    """Random numbers for one test, the same for the same seed and key."""
    return random.Random(f"{seed()} {key}")


def drawn(items: Sequence[T], most: int, key: str) -> list[T]:
    """Draw items, the first and the last among them, where the ends of a sequence are special.

    Args:
        items: what there is, in the order in which the drawn ones are given back.
        most: how many are drawn, at least two; all in a complete run.
        key: what they belong to, so that two tests do not draw alike.
    """
    if complete() or len(items) <= most:
        return list(items)
    inner = dice(key).sample(range(1, len(items) - 1), most - 2)
    return [items[at] for at in (0, *sorted(inner), len(items) - 1)]


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the tests marked `sampled` that this run leaves out.

    A test that is named on the command line is run in any case.
    """
    if complete() or any("::" in word for word in config.args):
        return
    undrawn = left_out(items)
    if os.environ.get(SHORT):
        undrawn |= dear_left_out([item for item in items if item not in undrawn])
    if undrawn:
        config.hook.pytest_deselected(items=[item for item in items if item in undrawn])
        items[:] = [item for item in items if item not in undrawn]


def left_out(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """Tests marked `sampled` that are not drawn: of each kind at least one is."""
    kinds: dict[tuple[str, str], list[pytest.Item]] = {}
    parts = {}
    for item in items:
        if mark := item.get_closest_marker("sampled"):
            kind = _kind(item, *mark.args[1:])
            kinds.setdefault(kind, []).append(item)
            parts[kind] = mark.args[0]
    return {item for kind, alike in kinds.items() for item in _undrawn(alike, parts[kind])}


def dear_left_out(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """Tests of the dear modules that are not drawn: of each module at least one is.

    Those that run alone are drawn among all of their kind: nothing runs beside them.
    """
    modules: dict[str, list[pytest.Item]] = {name: [] for name in DEAR.read_text().split()}
    alone = []
    for item in items:
        if item.get_closest_marker("alone"):
            alone.append(item)
        elif (alike := modules.get(item.nodeid.partition("::")[0])) is not None:
            alike.append(item)
    return {item for alike in (alone, *modules.values()) for item in _undrawn(alike, SHARE)}


def _undrawn(alike: Sequence[pytest.Item], parts: int) -> list[pytest.Item]:
    return sorted(alike, key=_lot)[-(-len(alike) // parts) :]


def _kind(item: pytest.Item, parameter: str = "") -> tuple[str, str]:
    """The tests among which is drawn: one function's, with one value of a parameter if named."""
    function = item.nodeid.partition("[")[0]
    return function, str(item.callspec.params[parameter]) if parameter else ""  # type: ignore[attr-defined]  # what is parametrised has it


def _lot(item: pytest.Item) -> int:
    return zlib.crc32(f"{seed()} {item.nodeid}".encode())
