"""Ability of a kernel to choose an address: asked until it is there."""

from __future__ import annotations

import pytest

from plumb.kernel.features import choices


def test_what_is_there_is_asked_once_and_what_is_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module may be loaded later, as an error has said."""
    asked: list[bool] = []

    def attempt() -> None:
        asked.append(True)
        if len(asked) == 1:
            raise OSError(2, "no such extension")

    monkeypatch.setitem(choices.ATTEMPTS, ("a kernel", False), attempt)
    assert [choices.able("a kernel", False) for _ in range(3)] == [False, True, True]
    assert len(asked) == 2
