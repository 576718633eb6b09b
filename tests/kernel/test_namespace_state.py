"""A namespace with more links than one has room for in a page or two of /proc."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.kernel.diagnosis import namespace
from plumb.model.diagnosis.snapshot import COUNTERS
from plumb.model.observations import Netns
from tests import labs
from tests.labs import sh

PAIRS = 300
HERE = Netns("c", "")


@pytest.fixture(scope="module", autouse=True)
def crowded() -> Iterator[None]:
    """A namespace with some 600 links, whose /proc/net/dev has more than 64 KiB."""
    with labs.lab():
        lines = "".join(f"link add a{n} type veth peer name b{n}\\n" for n in range(PAIRS))
        sh(f"printf '{lines}' | ip -batch -")
        yield


def test_the_counters_of_all_links_are_read() -> None:
    """A line that is cut off would be none."""
    state, _ = namespace.read(HERE)
    assert {name for name, _ in state.received} >= {f"a{n}" for n in range(PAIRS)}
    assert state.unread == ()


def test_counters_that_are_too_many_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """All else of the namespace is read."""
    monkeypatch.setattr(namespace, "LONGEST_TABLE", 1 << 15)
    state, _ = namespace.read(HERE)
    assert len(state.links) > 2 * PAIRS
    assert state.received == ()
    assert state.lacks(COUNTERS)
