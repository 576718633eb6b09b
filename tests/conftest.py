"""Fixtures: a lab host for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb import Host
from tests import labs, needs
from tests.labs import Lab
from tests.memory_host import MemoryHosts


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


@pytest.fixture
def memory_host(tmp_path: Path) -> Iterator[MemoryHosts]:
    """Opens plumb on a kernel that is a dict."""
    with MemoryHosts(tmp_path / "root") as hosts:
        yield hosts


@pytest.fixture
def host(memory_host: MemoryHosts) -> Host:
    """plumb on a kernel that is a dict, which has not been touched."""
    return memory_host()
