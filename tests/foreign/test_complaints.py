"""Ten public reports about networks of Docker hosts: the page has what plumb prints about each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import REPOSITORY
from tests.foreign import complaints
from tests.foreign.complaints import CHANGING, COMPLAINTS, HEADING, Complaint
from tests.foreign.dockerd import MISSING, Dockerd

PAGE = (REPOSITORY / "docs/docker-host.md").read_text()
SECTION = CHANGING.sub("…", PAGE.partition(HEADING)[2])


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """The Engine with the complaints' containers."""
    with complaints.host() as made:
        yield made


@pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
@pytest.mark.parametrize("each", COMPLAINTS, ids=lambda each: each.finding)
def test_the_page_has_the_answer(docker: Dockerd, each: Complaint) -> None:
    """Printed on a host with that very fault; `python -m tests.foreign.complaints` prints all."""
    assert CHANGING.sub("…", complaints.block(docker, each)) in SECTION


def test_each_complaint_is_a_public_report() -> None:
    """Ten, each of another kind."""
    assert len({each.url for each in COMPLAINTS}) == len(COMPLAINTS) == 10
    assert len({each.finding for each in COMPLAINTS}) == 10
    assert all(each.url in PAGE for each in COMPLAINTS)
