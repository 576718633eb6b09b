"""Fixtures: a lab for a test, or a factory of labs for many; and what they are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from plumb.pytest_plugin.labs import Lab


@pytest.fixture
def lab(
    request: pytest.FixtureRequest,
    plumb_settings: dict[str, Any],
    plumb_driver: str,
    plumb_family: int,
    plumb_firewall: str,
) -> Iterator[Lab]:
    """A fake host, made of namespaces, with plumb on it; it is gone when the test is over."""
    from plumb.pytest_plugin.session import labs

    with labs(request.config).opened(
        settings=plumb_settings, driver=plumb_driver, family=plumb_family, firewall=plumb_firewall
    ) as made:
        yield made


@pytest.fixture(scope="session")
def lab_factory(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes labs that live as long as a with block, for fixtures of a module or a session.

    Its arguments: settings (with daemon.json's keys), driver, family, firewall.
    """
    from plumb.pytest_plugin.session import labs

    return labs(request.config).opened


@pytest.fixture
def plumb_settings() -> dict[str, Any]:
    """The settings of a lab's plumb, with daemon.json's keys.

    To be overridden where others are wanted.
    """
    return {}


@pytest.fixture
def plumb_driver(request: pytest.FixtureRequest) -> str:
    """The driver of networks that name none; the mark plumb_drivers gives it values."""
    driver: str = getattr(request, "param", "")
    if driver:
        from plumb.pytest_plugin import requirements

        requirements.require_driver(driver, strict=request.config.getoption("--plumb-strict"))
    return driver or "bridge"


@pytest.fixture
def plumb_family(request: pytest.FixtureRequest) -> int:
    """The address family that is meant where a test names none.

    The mark plumb_families gives it values.
    """
    return int(getattr(request, "param", 4))


@pytest.fixture
def plumb_firewall(request: pytest.FixtureRequest) -> str:
    """The firewall back end, "" for plumb's own choice.

    The mark plumb_firewalls gives it values.
    """
    return str(getattr(request, "param", ""))


@pytest.fixture
def plumb_gate(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves something behind on the real host; every test with a lab has it."""
    if request.config.getoption("--plumb-leaks") == "off":
        yield
        return
    from plumb.pytest_plugin import leaks

    watch = leaks.Watch()
    yield
    watch.judge(request.node.nodeid)
