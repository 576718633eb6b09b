"""plumb lab: labs that stay between commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import REPOSITORY

LAB = f"try-{os.getpid()}"


def plumb(*argv: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "plumb", *argv],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert ran.returncode == status, ran.stderr
    return ran


@pytest.fixture(scope="module", autouse=True)
def there() -> Iterator[None]:
    plumb("lab", "hosts", "2", "--lab", LAB)
    yield
    plumb("lab", "rm", LAB)


def test_its_hosts_are_listed() -> None:
    rows = [json.loads(line) for line in plumb("lab", "ls", "--json").stdout.splitlines()]
    mine = [(row["Host"], row["IPv4"]) for row in rows if row["Lab"] == LAB]
    assert mine == [("h1", "192.0.2.10"), ("h2", "192.0.2.11")]


def test_a_command_runs_on_a_host() -> None:
    assert plumb("lab", "exec", "--lab", LAB, "h2", "hostname").stdout == "h2\n"


def test_plumb_runs_on_a_host() -> None:
    plumb("lab", "exec", "--lab", LAB, "h1", "plumb", "network", "create", "n1")
    listed = plumb("lab", "exec", "--lab", LAB, "h1", "plumb", "network", "ls", "-q")
    assert len(listed.stdout.split()) == 4


def test_a_host_is_cut_off_and_connected_again() -> None:
    ping = ("ping", "-c", "1", "192.0.2.11", "-W")
    plumb("lab", "cut", "--lab", LAB, "h2")
    plumb("lab", "exec", "--lab", LAB, "h1", *ping, "1", status=1)
    plumb("lab", "mend", "--lab", LAB, "h2")
    plumb("lab", "exec", "--lab", LAB, "h1", *ping, "30")


def test_a_second_lab_of_the_name_is_refused() -> None:
    said = plumb("lab", "hosts", "1", "--lab", LAB, status=1).stderr
    assert said == f"plumb: lab {LAB} runs already; 'plumb lab rm {LAB}' ends it\n"


def test_a_lab_that_is_not_there_is_named() -> None:
    said = plumb("lab", "exec", "--lab", "nowhere", "h1", "true", status=1).stderr
    assert said.startswith("plumb: no lab 'nowhere' runs; ")


def test_a_name_that_would_be_a_path_is_refused() -> None:
    said = plumb("lab", "rm", "../x", status=1).stderr
    assert said.startswith("plumb: a lab cannot be called '../x'; ")
