"""Who has plumb installed and does not use the plugin pays nothing for it."""

from __future__ import annotations

from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]


def test_a_run_without_labs_loads_next_to_nothing(runs: Runs) -> None:
    """The plugin is two small modules until the first lab.

    Nothing else of plumb is loaded, and no process runs.
    """
    found = runs("""
        import sys

        def test_it():
            roots = ("plumb", "pyroute2", "scapy", "dns", "sqlite3")
            loaded = {name for name in sys.modules if name.split(".")[0] in roots}
            plugin = "plumb.pytest_plugin"
            assert loaded == {"plumb", plugin, f"{plugin}.hooks", f"{plugin}.fixtures"}
    """)

    found.assert_outcomes(passed=1)


def test_asking_for_the_fixtures_loads_no_lab(runs: Runs) -> None:
    """Collecting tests with labs does not make one."""
    found = runs("def test_it(lab): pass", "--collect-only")

    found.stdout.fnmatch_lines(["*1 test collected*"])
