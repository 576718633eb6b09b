"""plumb env: what this kernel can do, and what to do about what it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from plumb.kernel.features.table import FEATURES, GROUPS
from tests import REPOSITORY
from tests.labs import Lab

LINE = re.compile(r"^(\s*)(\S.*?)\s{2,}(yes|no)(?:\s+(\S.*))?\s*$")


def rows(text: str) -> list[tuple[bool, str, bool, str]]:
    """The lines of the table.

    Whether it is a feature, its name, whether it is there, what is told.
    """
    found = [
        LINE.match(line)
        for line in text.splitlines()
        if not line.startswith(("this kernel,", "the modules"))
    ]
    assert all(found), text
    return [
        (bool(match[1]), match[2], match[3] == "yes", match[4] or "") for match in found if match
    ]


def test_env_lists_each_driver_with_what_it_takes(lab: Lab) -> None:
    """Every driver has a line, and below it a line for each feature that is its own, or that is
    missing."""
    told = rows(lab.plumb("env").stdout)

    assert [name for inner, name, _, _ in told if not inner] == [group.name for group in GROUPS]
    assert {name for inner, name, _, _ in told if inner} == set(FEATURES)


def test_a_driver_can_do_without_extras_but_not_without_its_own_kind_of_link(lab: Lab) -> None:
    """The line of a driver says yes when all that it needs is there, and else what it lacks."""
    told = {
        name: (there, detail)
        for inner, name, there, detail in rows(lab.plumb("env").stdout)
        if not inner
    }
    able = {name: there for inner, name, there, _ in rows(lab.plumb("env").stdout) if inner}

    for group in GROUPS:
        lacks = [name for name in group.needs if not able[name]]
        assert told[group.name] == ((False, f"lacks {', '.join(lacks)}") if lacks else (True, ""))


def test_a_line_about_something_missing_says_what_to_do(lab: Lab) -> None:
    """The module or the kernel's option is named beside each no."""
    missing = [
        (name, detail)
        for inner, name, there, detail in rows(lab.plumb("env").stdout)
        if inner and not there
    ]
    if not missing:
        pytest.skip("this kernel lacks nothing")

    for name, detail in missing:
        assert "a kernel with CONFIG_" in detail
        assert FEATURES[name].serves in detail


def test_env_speaks_json(lab: Lab) -> None:
    """One object a line.

    For each driver whether it can be used, for each feature what it is, and what to do.
    """
    found = [json.loads(line) for line in lab.plumb("env", "--json").stdout.splitlines()]
    drivers = {row["Driver"]: row for row in found if "Driver" in row}
    features = {row["Feature"]: row for row in found if "Feature" in row}

    assert set(features) == set(FEATURES)
    assert features["macvlan"]["Option"] == "CONFIG_MACVLAN"
    assert drivers["macvlan"]["Able"] == features["macvlan"]["Able"]
    assert drivers["ipvlan"]["Needs"] == ["ipvlan"]


def test_a_kernel_without_modules_is_said_to_be_one(lab: Lab) -> None:
    """Where modprobe is of no use, the last line says so."""
    out = lab.plumb("env").stdout
    if Path("/proc/modules").exists() or "  no  " not in out:
        pytest.skip("this kernel has modules, or lacks nothing")

    assert out.splitlines()[-1] == (
        f"this kernel, {os.uname().release}, loads no modules: what it lacks takes another kernel"
    )


def test_yes_and_no_are_coloured_on_a_terminal_only(lab: Lab) -> None:
    """What goes to a file is plain text."""
    command = f"{sys.executable} -m plumb env"
    environ = {**os.environ, "PLUMB_ROOT": str(lab.root), "PYTHONPATH": str(REPOSITORY)}
    seen = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    ).stdout

    assert "\x1b[32myes\x1b[0m" in seen
    assert "\x1b" not in lab.plumb("env").stdout


def test_only_root_can_try(lab: Lab) -> None:
    """Others are told so in a line."""
    script = (
        "from plumb.kernel.features.detect import able; import os; os.setuid(65534); able('bridge')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )

    assert "only root can try things out" in ran.stderr.splitlines()[-1]
