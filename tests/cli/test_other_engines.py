"""Advice where another engine has the container that plumb does not know."""

from __future__ import annotations

import pytest

from plumb.cli.reference import other_engines
from plumb.errors import NotFound
from plumb.foreign import read_host
from plumb.foreign.values import ForeignHost


def test_the_engines_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rm` may be given many names, and an engine that does not answer costs its deadline."""
    asked: list[bool] = []

    def read() -> ForeignHost:
        asked.append(True)
        return ForeignHost()

    monkeypatch.setattr(read_host, "read", read)
    other_engines._read.cache_clear()
    try:
        for name in ("a", "b", "c"):
            other_engines.hint(NotFound(f"No such container: {name}"), "rm")
    finally:
        other_engines._read.cache_clear()
    assert len(asked) == 1
