"""Runs of pytest with the plugin, each in network and mount namespaces of its own, which play the
real host."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import pytest

from tests import REPOSITORY

LOADED = any(found.name == "plumb" for found in entry_points(group="pytest11"))
ALONE = [
    "unshare",
    "--net",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    'ip link set lo up; exec "$@"',
    "alone",
]


def arguments(*more: str) -> list[str]:
    """The command line of a pytest that has the plugin, and for which a warning is an error."""
    loaded = [] if LOADED else ["-p", "plumb.pytest_plugin.hooks"]
    return [sys.executable, "-m", "pytest", *loaded, "-p", "no:cacheprovider", "-W", "error", *more]


class Runs:
    """Runs of pytest on a file of tests."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, tests: str, *more: str) -> pytest.RunResult:
        """Run tests; what came of it."""
        self._pytester.makepyfile(test_it=tests)
        return self._pytester.run(*ALONE, *arguments(*more))
