"""Fixtures: an agent, where one is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.kernel import agents
from tests.kernel.crossroads import Crossroads
from tests.kernel.crossroads import crossroads as making_crossroads
from tests.labs import Lab


@pytest.fixture
def folder(lab: Lab) -> Iterator[str]:
    """Where an agent may live; it is ended afterwards, whatever has become of it."""
    path = str(lab.root)
    yield path
    agents.stop(path)


@pytest.fixture
def running(folder: str) -> str:
    """A folder with an agent."""
    agents.start(folder)
    return folder


@pytest.fixture
def crossroads() -> Iterator[Crossroads]:
    """A LAN, a host and a box, to watch packets at."""
    with making_crossroads() as made:
        yield made
