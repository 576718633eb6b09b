"""Fixtures: the plugin's own labs, and pytest runs in which it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.pytest_plugin import forkserver_client
from plumb.pytest_plugin.labs import Lab
from tests.plugin.runs import Runs


@pytest.fixture(scope="session", autouse=True)
def _forkserver() -> Iterator[None]:
    yield
    forkserver_client.the.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab as the plugin makes it."""
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs of pytest with the plugin, each on a host of its own."""
    return Runs(pytester, monkeypatch)
