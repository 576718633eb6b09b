"""A small part of the soak, so that it works when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.labs import Lab
from tests.sampling import share
from tests.soak import cycles, kills

Maker = Callable[[], AbstractContextManager[tuple[Lab, Callable[[], None]]]]


@pytest.mark.slow
@pytest.mark.parametrize("made", [cycles.by_library, cycles.by_command])
def test_nothing_grows(made: Maker) -> None:
    """Sizes of processes, store and host stay as they are while containers come and go."""
    with made() as (place, cycle):
        parts = list(cycles.run(place, cycle, share(200)))
    assert cycles.grown(parts) == []


@pytest.mark.slow
def test_kills_can_be_made_good() -> None:
    """Whatever is killed in the middle of whatever."""
    killed = kills.run(share(100))
    assert sum(killed.values()) >= share(100) // 2
    assert killed[kills.AGENT] + killed[kills.WARM] > 0
