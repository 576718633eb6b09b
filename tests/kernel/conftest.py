"""Fixtures: a network to watch packets at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.capture.router_lab import Crossroads
from tests.kernel.capture.router_lab import crossroads as making_crossroads


@pytest.fixture
def crossroads() -> Iterator[Crossroads]:
    """A LAN, a host and a box, to watch packets at."""
    with making_crossroads() as made:
        yield made
