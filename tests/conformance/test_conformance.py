"""plumb does what a real Docker Engine did: in the kernel, in files, in what it says, and for traffic."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.conformance import later
from tests.conformance.book import recorded, scenarios
from tests.conformance.facts import differences, misordered
from tests.conformance.recording import play

BOOK = scenarios()
PLAYABLE = [name for name in BOOK if not later.missing(name)]


@dataclass
class Tally:
    """Which scenarios were played, and which entries of LATER excused something."""

    played: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def tally() -> Tally:
    """One for all scenarios."""
    return Tally()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOK)
def test_does_what_docker_did(name: str, tally: Tally) -> None:
    """Every fact of the scenario is Docker's, but those of features that come later; afterwards the host is as bare as before."""
    if why := later.missing(name):
        pytest.skip(why)
    docker = recorded(name)
    asked = later.Asked.of(docker)
    seen = play(BOOK[name])
    excuses = {each: later.reason(each, asked) for each in differences(docker, seen)}
    tally.played.add(name)
    tally.needed |= set(filter(None, excuses.values()))
    wrong = [str(each) for each, why in excuses.items() if not why]
    wrong += [f"~ [order] {each}" for each in misordered(docker, seen)]
    if wrong:
        pytest.fail(f"{len(wrong)} facts differ (- Docker's, + plumb's):\n" + "\n".join(wrong), pytrace=False)


def test_nothing_is_excused_in_vain(tally: Tally) -> None:
    """An entry of LATER that no scenario needs any more must go."""
    if tally.played != set(PLAYABLE):
        pytest.skip("not every scenario was played")
    assert set(later.LATER) - tally.needed == set()
