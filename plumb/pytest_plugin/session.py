"""Labs of a session: their list, and the artifacts and checks when a test fails.

It joins pytest with the first lab.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from plumb.pytest_plugin import requirements, waiting
from plumb.pytest_plugin.labs import Lab
from plumb.pytest_plugin.reach import asked_in

NAME = "plumb-labs"
living: list[Lab] = []
"""The labs that there are now."""


class Labs:
    """Makes labs, and hooks into the tests that use them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._strict = bool(config.getoption("--plumb-strict"))
        waiting.slow = float(config.getoption("--plumb-slow"))

    @contextmanager
    def opened(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        driver: str = "bridge",
        family: int = 4,
        firewall: str = "",
    ) -> Iterator[Lab]:
        """A lab for the length of a with block.

        Args:
            settings: of its plumb, with daemon.json's keys.
            driver: of networks that name none; family: the one that is meant where none is named.
            firewall: "iptables" or "nftables"; "": what the settings say.
        """
        requirements.require_root(strict=self._strict)
        backend = {"firewall-backend": firewall} if firewall else {}
        made = Lab(
            settings={**(settings or {}), **backend},
            driver=driver,
            family=family,
            strict=self._strict,
        )
        living.append(made)
        try:
            yield made
        finally:
            living.remove(made)
            made.close()

    # -- hooks ---------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """A failure that is about who reaches whom gets the story."""
        for lab in living:
            lab.judged.clear()
        try:
            return (yield)
        except AssertionError as error:
            for story in _stories(str(error)):
                error.add_note(story)
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep the state of a failed test's labs, if --plumb-artifacts requests it."""
        report = yield
        folder = self._config.getoption("--plumb-artifacts")
        if (
            folder
            and report.failed
            and living
            and call.excinfo is not None
            and not hasattr(item, "_plumb_kept")
        ):
            from plumb.pytest_plugin import artifacts

            vars(item)["_plumb_kept"] = True
            report.sections += artifacts.keep(folder, item.nodeid, living, str(call.excinfo.value))
        return report


def labs(config: pytest.Config) -> Labs:
    """Labs of this session."""
    found = config.pluginmanager.get_plugin(NAME)
    if found is None:
        found = Labs(config)
        config.pluginmanager.register(found, NAME)
    assert isinstance(found, Labs)
    return found


def _stories(message: str) -> list[str]:
    return [reach.story() for lab in living for reach in asked_in(message, lab.judged)]
