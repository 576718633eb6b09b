"""The plugin as pytest loads it: options, marks, parameters, and who is watched for leaks.

It imports as little as can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plumb.pytest_plugin.fixtures import (
    lab,
    lab_factory,
    plumb_driver,
    plumb_family,
    plumb_firewall,
    plumb_gate,
    plumb_settings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "lab",
    "lab_factory",
    "plumb_driver",
    "plumb_family",
    "plumb_firewall",
    "plumb_gate",
    "plumb_settings",
]

PARAMETERS = {
    "plumb_drivers": "plumb_driver",
    "plumb_families": "plumb_family",
    "plumb_firewalls": "plumb_firewall",
}
"""Each mark, and the fixture that it gives values to."""
MARKS = (
    "plumb_drivers(name, ...): run once with each network driver",
    "plumb_families(version, ...): run once with each address family, 4 and 6",
    "plumb_firewalls(backend, ...): run once with each firewall back end, iptables and nftables",
    (
        "plumb_needs(feature, ...): skip where the kernel lacks one of these, "
        "by the names that 'plumb env' has for them"
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("plumb", "networks in tests")
    group.addoption(
        "--plumb-slow",
        type=float,
        default=1.0,
        metavar="X",
        help="give all deadlines of labs X times the time",
    )
    group.addoption(
        "--plumb-strict",
        action="store_true",
        help="fail what would be skipped for want of a kernel feature or of root",
    )
    group.addoption(
        "--plumb-artifacts",
        default="",
        metavar="DIR",
        help="keep the state of the labs of failed tests in folders under DIR",
    )
    group.addoption(
        "--plumb-leaks",
        choices=("fail", "off"),
        default="fail",
        help="what to do about a test that leaves something behind on the real host "
        "(default: fail it)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The plugin's marks."""
    for line in MARKS:
        config.addinivalue_line("markers", line)


def pytest_unconfigure() -> None:
    """End the forkserver with pytest."""
    import sys

    if "plumb.pytest_plugin.forkserver_client" in sys.modules:
        from plumb.pytest_plugin import forkserver_client

        forkserver_client.the.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Generate a test for each value of a mark."""
    for mark, fixture in PARAMETERS.items():
        for found in metafunc.definition.iter_markers(mark):
            if fixture not in metafunc.fixturenames:
                raise pytest.UsageError(
                    f"{metafunc.definition.nodeid}: "
                    f"the mark {mark} is for tests that use 'lab' or '{fixture}'"
                )
            names = [
                f"IPv{value}" if isinstance(value, int) else str(value) for value in found.args
            ]
            metafunc.parametrize(fixture, list(found.args), indirect=True, ids=names)
            break


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Tests with a lab of ours are watched.

    Before their own fixtures, and after those of modules and the session.
    """
    for item in items:
        names: list[str] = getattr(item, "fixturenames", [])
        if ("lab" in names or "lab_factory" in names) and _ours(item):
            names.insert(_first_own(item, names), "plumb_gate")


def _ours(item: Any) -> bool:
    """True if a test uses this plugin's fixture, not another one of that name."""
    known = item._fixtureinfo.name2fixturedefs
    return any(
        known[name][-1].func.__module__ == "plumb.pytest_plugin.fixtures"
        for name in ("lab", "lab_factory")
        if name in known
    )


def _first_own(item: Any, names: list[str]) -> int:
    """Index of the first fixture that is for this test alone, in the order of its fixtures."""
    known = item._fixtureinfo.name2fixturedefs
    for place, name in enumerate(names):
        if name in known and known[name][-1].scope == "function":
            return place
    return len(names)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs something of the kernel is run where that is there."""
    features = [feature for mark in item.iter_markers("plumb_needs") for feature in mark.args]
    if features:
        from plumb.pytest_plugin import requirements

        requirements.require(features, strict=item.config.getoption("--plumb-strict"))
