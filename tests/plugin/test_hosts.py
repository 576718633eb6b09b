"""Several hosts in a test."""

from __future__ import annotations

from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]


def test_a_test_gets_hosts_that_end_with_it(runs: Runs) -> None:
    runs(
        """
        made = []

        def test_two(lab):
            hosts = lab.hosts(2)
            hosts["h1"].run("ping", "-c", "1", "-W", "5", hosts["h2"].address)
            made.extend(host.init for host in hosts)

        def test_they_are_gone():
            assert len(made) == 2 and not any(init.runs for init in made)
        """
    ).assert_outcomes(passed=2)
