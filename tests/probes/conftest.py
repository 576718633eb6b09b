"""Fixtures: the three-tier lab, built once for each module, and command lines on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from examples import three_tier
from plumb import Host
from plumb.cli import main
from tests import labs
from tests.labs import Lab


@dataclass
class Site:
    """A lab host, and what is on it."""

    lab: Lab
    host: Host

    def ns(self, name: str) -> str:
        """The namespace file of a container."""
        return self.host.namespace(self.host.container(name))

    def inside(self, name: str, command: str) -> str:
        """Run a shell line in a container's namespace."""
        return self.lab.inside(self.host, name, command)


@pytest.fixture(scope="module")
def tiers() -> Iterator[Site]:
    """The lab of examples/three_tier.py, on a host that is on a LAN."""
    with labs.lab(lan=True) as lab, lab.host() as host:
        three_tier.build(host)
        yield Site(lab, host)
        host.reset()


Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """A function that types a command line on a lab; the exit status, and what was printed."""

    def run(lab: Lab, line: str) -> tuple[int, str]:
        monkeypatch.setenv("PLUMB_ROOT", str(lab.root))
        monkeypatch.setenv("PLUMB_CONFIG", "")
        capsys.readouterr()
        status = main(line.replace("$LAN", lab.lan).split())
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def objects(text: str) -> list[dict[str, Any]]:
    """JSON, an object a line."""
    return [json.loads(line) for line in text.splitlines()]
