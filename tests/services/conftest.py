"""Fixtures: a process with the embedded DNS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.embedding import HOST, OTHER, QUICK, Process, embedded


@pytest.fixture
def process() -> Iterator[Process]:
    """A process whose patience is short, and that serves a sandbox."""
    with embedded(QUICK) as made:
        made.serve(upstreams=[HOST, OTHER])
        yield made


@pytest.fixture
def patient() -> Iterator[Process]:
    """One with Docker's patience."""
    with embedded() as made:
        made.serve(upstreams=[HOST, OTHER])
        yield made
