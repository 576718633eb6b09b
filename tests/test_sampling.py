"""The sample: the same for the same seed, another for another, and all in a complete run."""

from __future__ import annotations

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
