"""Ctrl-C on the way into a namespace: the thread is back where it was, and recovery looks there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.kernel.netns import namespaces, setns


class InterruptedOnce:
    """The C library, of which Python raises KeyboardInterrupt right behind a call, once."""

    def __init__(self, name: str) -> None:
        self._name, self._libc = name, setns.libc

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._libc, name)
        if name != self._name:
            return function
        self._name = ""

        def interrupted(*args: object) -> None:
            function(*args)
            raise KeyboardInterrupt

        return interrupted


@pytest.fixture
def box(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "box")
    namespaces.make(path)
    yield path
    namespaces.drop(path)


@pytest.fixture
def home() -> Iterator[tuple[int, set[str]]]:
    """The thread's namespace, and the process's descriptors; at the end they are the same."""
    before = os.stat(setns.SELF).st_ino, set(os.listdir("/proc/self/fd"))
    yield before
    assert (os.stat(setns.SELF).st_ino, set(os.listdir("/proc/self/fd"))) == before


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["unshare", "mount"])
def test_while_a_namespace_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """That takes the kernel longest."""
    monkeypatch.setattr(namespaces, "libc", InterruptedOnce(name))
    with pytest.raises(KeyboardInterrupt):
        namespaces.make(str(tmp_path / "new"))
    namespaces.drop(str(tmp_path / "new"))


@pytest.mark.usefixtures("home")
def test_while_one_is_entered(box: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each visit begins so."""
    monkeypatch.setattr(setns, "libc", InterruptedOnce("setns"))
    with pytest.raises(KeyboardInterrupt), namespaces.entered(box):
        pass


@pytest.mark.usefixtures("home")
def test_on_a_tour(box: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    monkeypatch.setattr(setns, "libc", InterruptedOnce("setns"))
    with pytest.raises(KeyboardInterrupt), namespaces.Tour() as tour:
        tour.visit(box)
