"""The sample: the same for the same seed, another for another, and all in a complete run."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest

from tests import sampling


@pytest.fixture(autouse=True)
def no_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a sampled run with a known seed."""
    monkeypatch.delenv(sampling.LONG, raising=False)
    monkeypatch.setenv(sampling.SEED, "1")


def test_a_seed_draws_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many, in their order, with the ends; another seed draws others."""
    first = sampling.drawn(range(100), 8, "key")
    assert first == sampling.drawn(range(100), 8, "key") == sorted(first)
    assert (len(first), first[0], first[-1]) == (8, 0, 99)
    assert first != sampling.drawn(range(100), 8, "other key")
    monkeypatch.setenv(sampling.SEED, "2")
    assert first != sampling.drawn(range(100), 8, "key")


def test_a_complete_run_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn there, and no count is made smaller."""
    assert sampling.share(1000) == 200
    monkeypatch.setenv(sampling.LONG, "1")
    assert sampling.drawn(range(100), 8, "key") == list(range(100))
    assert sampling.share(1000) == 1000


@dataclass(frozen=True)
class Item:
    """What pytest knows of a test that is drawn by one of its parameters."""

    name: str
    backend: str

    @property
    def nodeid(self) -> str:
        """Its node id."""
        return f"tests/test_it.py::test_it[{self.name}-{self.backend}]"

    @property
    def callspec(self) -> SimpleNamespace:
        """The values of its parameters."""
        return SimpleNamespace(params={"name": self.name, "backend": self.backend})

    def get_closest_marker(self, name: str) -> pytest.Mark:
        """One third of each backend's tests is run."""
        return pytest.mark.sampled(3, "backend").mark


def test_of_each_kind_some_are_run() -> None:
    """A third of the tests of each value, rounded up: of a kind that has one test, that one."""
    counts = {"iptables": 9, "legacy": 2, "nftables": 1}
    items = [Item(f"case{n}", backend) for backend, count in counts.items() for n in range(count)]
    left_out = {each.nodeid for each in sampling.left_out(cast("list[pytest.Item]", items))}
    run = [item.backend for item in items if item.nodeid not in left_out]
    assert [run.count(backend) for backend in counts] == [3, 1, 1]


@dataclass(frozen=True)
class Plain:
    """What pytest knows of a test of some module."""

    nodeid: str
    alone: bool = False

    def get_closest_marker(self, name: str) -> object | None:
        """Only `alone` is asked for."""
        return pytest.mark.alone if name == "alone" and self.alone else None


def test_of_each_dear_module_a_fifth_is_run() -> None:
    """Rounded up; modules that are not in the list are run whole."""
    dear, *_ = sampling.DEAR.read_text().split()
    items = [Plain(f"{path}::test_{n}") for path in (dear, "tests/x.py") for n in range(11)]
    left_out = sampling.dear_left_out(cast("list[pytest.Item]", items))
    assert len(left_out) == 8
    assert all(each.nodeid.startswith(dear) for each in left_out)


def test_of_what_runs_alone_a_fifth_is_run() -> None:
    """Whatever its module: it takes its time alone."""
    items = [Plain(f"tests/{name}.py::test_{n}", True) for name in "xyz" for n in range(5)]
    assert len(sampling.dear_left_out(cast("list[pytest.Item]", items))) == 12


@pytest.mark.parametrize("path", sampling.DEAR.read_text().split())
def test_a_dear_module_is_there(path: str) -> None:
    """A module that was renamed is not run whole unnoticed."""
    assert (sampling.DEAR.parents[1] / path).is_file()
