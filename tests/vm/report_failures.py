"""A plugin of pytest's.

A failure is told as soon as it is there, since a guest may be ended before it comes to its summary.
"""

from __future__ import annotations

import pytest

LINES = 20


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell on the terminal; a worker of pytest-xdist has none."""
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        config.pluginmanager.register(_Teller(terminal))


class _Teller:
    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell which test has failed, and what was said about it."""
        if report.failed:
            said = report.longreprtext.splitlines()
            errors = [line for line in said if line.startswith("E ")] or said
            self._terminal.write_line("\n".join([f"\nFAILED {report.nodeid}", *errors[:LINES]]))
