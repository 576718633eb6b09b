"""Fixtures: a lab host for each test that asks for one."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from plumb import Host
from plumb.lab import registry
from plumb.root import make_folder
from tests import labs, needs, sampling, usual_signals
from tests.host.trial_hosts import end_all
from tests.labs import Lab
from tests.memory_host import MemoryHosts


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse the machine's own network namespace, and give Hypothesis the seed of the sample.

    A busy machine is no failure: Hypothesis has no deadline and may generate slowly. Nothing of
    what is collected goes away, so garbage is looked for only later.
    """
    gc.disable()
    labs.refuse_the_machine()
    usual_signals.restore()
    settings.register_profile(
        "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("patient")
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(sampling.seed())


def pytest_report_header() -> str:
    """Print the seed with which this run can be repeated."""
    return sampling.header()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this run's sample has not drawn."""
    sampling.deselect(config, items)


def pytest_collection_finish() -> None:
    """Leave what was collected out of garbage collection, which in forks would copy it."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked with `needs` runs where the kernel has it."""
    needs.check(item)


@pytest.fixture(scope="session", autouse=True)
def own_labs() -> Iterator[None]:
    """An empty folder of labs that run: those of the tests beside these have the same names."""
    make_folder(registry.FOLDER, 0o700)
    labs.sh(f"mount -t tmpfs -o mode=700 plumb-labs {registry.FOLDER}")
    yield
    labs.sh(f"umount -l {registry.FOLDER}")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A bare host: lo and nothing else."""
    with labs.lab() as made:
        yield made


@pytest.fixture
def emptied(lab: Lab) -> Iterator[Lab]:
    """A bare host; in the end it is reset, and no command of the test's containers runs on."""
    yield lab
    try:
        lab.plumb("reset", "--force")
    finally:
        end_all(lab)


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
