"""top: the processes of a container."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab


@pytest.fixture
def box(lab: Lab) -> Iterator[Lab]:
    """A lab with a container that runs two programs, one by exec; in the end nothing of it runs."""
    plumb(lab, "run", "-d", "--name", "box", "--network", "none", "-e", MARK, "sleep", "1001")
    plumb(lab, "exec", "-d", "box", "sleep", "1002")
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def test_top_shows_the_command_and_what_exec_has_begun(box: Lab) -> None:
    """As ps does, and no other process."""
    heading, *rows = plumb(box, "top", "box").splitlines()
    assert heading.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(row.split()[-1] for row in rows) == ["1001", "1002"]


def test_top_takes_options_of_ps(box: Lab) -> None:
    """One column has to tell the pid."""
    heading, *rows = plumb(box, "top", "box", "-eo", "pid,args").splitlines()
    assert (heading.split(), len(rows)) == (["PID", "COMMAND"], 2)
    pid = plumb(box, "inspect", "-f", "{{.State.Pid}}", "box").strip()
    assert pid in [row.split()[0] for row in rows]
    status, printed = tried(box, "top", "box", "-eo", "args")
    assert (status, "find PID field" in printed) == (1, True)


def test_top_refuses_a_container_that_does_not_run(box: Lab) -> None:
    """In the engine's words."""
    plumb(box, "stop", "-t", "0", "box")
    status, printed = tried(box, "container", "top", "box")
    assert (status, "is not running" in printed) == (1, True)
