"""The summary of the whole bar: nothing that failed or ran nowhere goes unnoticed."""

from __future__ import annotations

from pathlib import Path

from tests.vm.outcomes import AGAIN, Outcomes, closing_line, read, summary

HERE = """<testsuites><testsuite time="61.5">
    <testcase classname="tests.test_a" name="test_passes"/>
    <testcase classname="tests.test_a" name="test_fails[1.2.3.4]">
        <failure message="no">E no</failure>
    </testcase>
    <testcase classname="tests.test_a" name="test_fails[1.2.3.4]">
        <error message="nor torn down"/>
    </testcase>
    <testcase classname="tests.test_a" name="test_ipvlan">
        <skipped type="pytest.skip" message="this kernel has no ipvlan"/>
    </testcase>
    <testcase classname="tests.test_a" name="test_esp">
        <skipped type="pytest.skip" message="this kernel has no esp4"/>
    </testcase>
    <testcase classname="tests.test_a" name="test_known">
        <skipped type="pytest.xfail" message="the kernel's ways"/>
    </testcase>
</testsuite></testsuites>"""
GUEST = """<testsuites><testsuite time="5">
    <testcase classname="tests.test_a" name="test_ipvlan"/>
    <testcase classname="tests.test_a" name="test_esp">
        <skipped type="pytest.skip" message="not yet"/>
    </testcase>
</testsuite></testsuites>"""


def outcomes(folder: Path, text: str) -> Outcomes:
    """Those of a report."""
    (folder / "report.xml").write_text(text)
    return read(folder / "report.xml")


def test_outcomes_are_counted_by_test(tmp_path: Path) -> None:
    """A test that has failed and could not be torn down either is one test."""
    assert str(outcomes(tmp_path, HERE)) == "1 error, 1 passed, 2 skipped, 1 xfailed in 1:02"


def test_the_summary_names_what_failed_and_what_ran_nowhere(tmp_path: Path) -> None:
    """What one kernel could not run and the other could is no loss.

    The rest is told with its reason.
    """
    assert summary(
        {"here": outcomes(tmp_path, HERE), "guest": outcomes(tmp_path, GUEST)}
    ).splitlines() == [
        "here   1 error, 1 passed, 2 skipped, 1 xfailed in 1:02",
        "guest  1 passed, 1 skipped in 0:05",
        "ERROR here: tests/test_a.py::test_fails[1.2.3.4]",
        "could be run nowhere:",
        "    1  not yet",
    ]


def test_a_failure_that_passes_alone_is_named_and_counted_as_unsteady(tmp_path: Path) -> None:
    again = """<testsuites><testsuite time="2">
        <testcase classname="tests.test_a" name="test_fails[1.2.3.4]"/>
    </testsuite></testsuites>"""
    runs = {"here": outcomes(tmp_path, HERE), "here" + AGAIN: outcomes(tmp_path, again)}

    assert "UNSTEADY here: tests/test_a.py::test_fails[1.2.3.4]" in summary(runs).splitlines()
    assert closing_line(runs) == "2 passed, 0 failed, 3 skipped, 1 of the passed unsteady"


def test_a_failure_that_fails_alone_as_well_is_a_failure(tmp_path: Path) -> None:
    runs = {"here": outcomes(tmp_path, HERE), "here" + AGAIN: outcomes(tmp_path, HERE)}

    assert "ERROR here: tests/test_a.py::test_fails[1.2.3.4]" in summary(runs).splitlines()
    assert closing_line(runs) == "1 passed, 1 failed, 3 skipped"
