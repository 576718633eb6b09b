"""Fixtures: an agent, and a process with the embedded DNS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.kernel import agent_client
from tests.agent.dns.dns_process import HOST, OTHER, QUICK, Process, embedded
from tests.labs import Lab


@pytest.fixture
def folder(lab: Lab) -> Iterator[str]:
    """Where an agent may live; it is ended afterwards, whatever has become of it."""
    path = str(lab.root)
    yield path
    agent_client.stop(path)


@pytest.fixture
def running(folder: str) -> str:
    """A folder with an agent."""
    agent_client.start(folder)
    return folder


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
