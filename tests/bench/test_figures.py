"""How often the bench measures."""

from __future__ import annotations

from tests.bench.figures import rounds, warmed


def test_a_round_is_measured_when_no_time_is_left() -> None:
    assert list(rounds(5, seconds=-1)) == [0]


def test_a_round_is_measured_behind_one_that_warmed_up_for_too_long() -> None:
    assert list(warmed(5, seconds=-1)) == [0, 1]


def test_the_round_that_warms_up_is_none_of_those_wanted() -> None:
    assert list(warmed(2, seconds=1000)) == [0, 1, 2]
