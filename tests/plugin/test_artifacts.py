"""What is kept of a test that failed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]

FAILING = """
    def test_it(lab):
        web = lab.container("web", networks=lab.network("front"), publish="8080:80")
        db = lab.container("db", networks=lab.network("back"))
        lab.host.run("ip link del " + lab.host.on("back").dev)
        assert web.reaches(db.on("back"), tcp=5432)

    def test_that_passes(lab):
        pass
"""


def test_a_failed_tests_labs_are_kept(runs: Runs, tmp_path: Path) -> None:
    """A folder for each failed test.

    The failure, plumb's own words, and each place as the system's tools show it.
    """
    found = runs(FAILING, f"--plumb-artifacts={tmp_path / 'kept'}")

    found.assert_outcomes(passed=1, failed=1)
    folder = tmp_path / "kept/test_it.py--test_it"
    assert [each.name for each in (tmp_path / "kept").iterdir()] == [folder.name]
    assert "web does not reach db" in (folder / "failure.txt").read_text()
    assert "missing" in (folder / "check.txt").read_text()
    assert [box["Name"] for box in json.loads((folder / "containers.json").read_text())] == [
        "/web",
        "/db",
    ]
    assert "front" in {net["Name"] for net in json.loads((folder / "networks.json").read_text())}
    assert (
        "dport 8080"
        in (folder / "host/nftables.txt").read_text() + (folder / "host/iptables.txt").read_text()
    )
    assert "eth0" in (folder / "web/addresses.txt").read_text()
    assert {"links", "routes", "neighbours", "sockets", "sysctls"} <= {
        each.stem for each in (folder / "web").iterdir()
    }
    found.stdout.fnmatch_lines(
        ["*plumb*", f"the state of its labs is in {folder}", "*plumb check*"]
    )


def test_nothing_is_kept_unasked(runs: Runs) -> None:
    """Without the option there is no folder, and no section."""
    found = runs(FAILING)

    found.stdout.no_fnmatch_line("*the state of its labs*")
