"""The page: its table of faults and findings, and a section for each finding."""

from __future__ import annotations

import re

from plumb.doctor.catalogue import CATALOGUE, PAIR
from tests import REPOSITORY
from tests.doctor.faults import FAULTS

PAGE = (REPOSITORY / "docs/doctor.md").read_text()


def table() -> str:
    """Faults against findings, as the tests inject and find them."""
    rows = (f"| {each.title} | `{each.id}` | {each.grade} |" for each in FAULTS)
    return "\n".join(["| fault | finding | grade |", "|---|---|---|", *rows])


def test_the_page_has_the_table_of_the_tests() -> None:
    """What the tests inject is what the page promises."""
    assert table() in PAGE


def test_each_finding_has_a_section() -> None:
    """Each finding's link leads to one."""
    known = {name for check in CATALOGUE for name in check.ids} | set(PAIR)
    assert set(re.findall(r"^### ([a-z0-9-]+)$", PAGE, re.MULTILINE)) == known
