"""The mark `needs`.

Tests that this kernel cannot run are skipped with the reason, and where everything should be there
they fail.
"""

from __future__ import annotations

import pytest

from plumb import NotFound
from plumb.kernel.features.detect import Ability
from tests import needs


def lacks(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    """Have the kernel lack these."""
    monkeypatch.setattr(
        needs, "able", lambda name: Ability(name, name not in features, f"modprobe {name}")
    )


@pytest.mark.needs("netns")
@pytest.mark.needs("bridge", "veth")
def test_what_is_there_lacks_nothing(request: pytest.FixtureRequest) -> None:
    """What every test here takes is there."""
    assert needs.lacking(request.node) == ""


def test_all_that_is_missing_is_named(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the features of all marks, those that are not there."""
    lacks(monkeypatch, "ipvlan", "8021q")
    request.node.add_marker(pytest.mark.needs("ipvlan", "macvlan"))
    request.node.add_marker(pytest.mark.needs("8021q"))
    assert sorted(needs.lacking(request.node).split("; ")) == [
        "this kernel has no 8021q: modprobe 8021q",
        "this kernel has no ipvlan: modprobe ipvlan",
    ]


@pytest.mark.parametrize(
    ("strict", "raised"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_a_missing_feature_is_a_failure_only_where_it_should_be_there(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    strict: str,
    raised: type[BaseException],
) -> None:
    """In the guest nothing may be missing."""
    lacks(monkeypatch, "ipvlan")
    monkeypatch.setenv(needs.STRICT, strict)
    request.node.add_marker(pytest.mark.needs("ipvlan"))
    with pytest.raises(raised, match="this kernel has no ipvlan"):
        needs.check(request.node)


def test_a_feature_that_nobody_knows_is_no_reason_to_skip(request: pytest.FixtureRequest) -> None:
    """A slip of the pen in a mark is told."""
    request.node.add_marker(pytest.mark.needs("ipvlam"))
    with pytest.raises(NotFound):
        needs.check(request.node)
