"""Fixtures: a lab host for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import labs, needs
from tests.labs import Lab


def pytest_configure() -> None:
    """No test runs in the machine's own network namespace."""
    labs.refuse_the_machine()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked with `needs` runs where the kernel has it."""
    needs.check(item)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A bare host: lo and nothing else."""
    with labs.lab() as made:
        yield made


@pytest.fixture
def lan() -> Iterator[Lab]:
    """A host on a LAN, with a router and an internet behind it."""
    with labs.lab(lan=True) as made:
        yield made
