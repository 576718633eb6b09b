"""Random scenarios: how they are drawn and cut short, and a sample of them, played."""

from __future__ import annotations

import pytest

from tests.conformance.texts import tells
from tests.foreign.dockerd import MISSING
from tests.fuzz.__main__ import FIREWALLS, PLUMB, docker_engine
from tests.fuzz.differences import compare
from tests.fuzz.scenarios import scenario
from tests.fuzz.shrink import shrunk


def test_a_seed_draws_the_same_lines_always() -> None:
    """So that a scenario can be played again."""
    assert scenario(7) == scenario(7)
    assert scenario(7) != scenario(8)


def test_the_fewest_lines_that_differ_are_found() -> None:
    """Whatever else is among them."""
    lines = [f"line {number}" for number in range(17)]
    assert shrunk(lines, lambda some: {"line 3", "line 11"} <= set(some)) == ["line 3", "line 11"]


@pytest.mark.parametrize(
    ("docker", "plumb", "same"),
    [
        ("Error: No such object: x\n", "plumb: No such object: x\n", True),
        ("a\nb\n", "plumb: a; try this\nplumb: b\n", True),
        ("a; b\n", "plumb: a; b; try this\n", True),
        ("a\nb\n", "plumb: a; try this\n", False),
        ("a\n", "plumb: b; a\n", False),
    ],
)
def test_errors_say_the_same_but_for_remedies(docker: str, plumb: str, same: bool) -> None:
    """Behind a semicolon stands what plumb advises."""
    assert tells(docker, plumb) is same


@pytest.mark.slow
@pytest.mark.needs("nf_tables")
def test_firewalls_answer_alike() -> None:
    """To the last word, and so does the kernel."""
    assert compare(scenario(2), PLUMB, FIREWALLS) == {}


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
def test_docker_answers_alike() -> None:
    """Its version 20.10, but for what has changed since."""
    with docker_engine() as engine:
        assert [compare(scenario(seed), PLUMB, engine) for seed in (3, 5)] == [{}, {}]
