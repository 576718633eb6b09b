"""Fixtures: hosts on a switch, two of them in a swarm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent.cluster.hosts import Machine, hosts


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """Three hosts that are in no swarm."""
    with hosts(3) as made:
        yield made


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Machine, Machine]]:
    """A manager and a worker, for tests that leave them so."""
    with hosts(2) as (manager, worker):
        tokens = manager.init()
        worker.join(tokens["worker"], manager)
        yield manager, worker
