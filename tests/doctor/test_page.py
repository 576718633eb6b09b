"""The page: its table of faults and findings, and a section for each finding."""

from __future__ import annotations

import re

from plumb.doctor.catalogue import CATALOGUE, PAIR
from plumb.model.diagnosis.finding import Grade
from tests import REPOSITORY
from tests.doctor import matrix
from tests.doctor.faults import FAULTS

PAGE = (REPOSITORY / "docs/doctor.md").read_text()


def test_the_page_has_the_matrix_of_the_tests() -> None:
    """A row for each fault that is injected; `test_faults` holds what is found against it."""
    assert list(matrix.rows()) == [each.title for each in FAULTS]


def test_each_fault_has_its_own_finding_and_no_other_is_proven() -> None:
    """Beside it others are at most likely."""
    for fault in FAULTS:
        row = matrix.rows()[fault.title]
        assert fault.id in row[fault.grade], fault.title
        assert set(row[Grade.PROVEN]) <= {fault.id}, fault.title


def test_each_finding_has_a_section() -> None:
    """Each finding's link leads to one."""
    known = {name for check in CATALOGUE for name in check.ids} | set(PAIR)
    assert set(re.findall(r"^### ([a-z0-9-]+)$", PAGE, re.MULTILINE)) == known
