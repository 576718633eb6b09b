"""Marks and options.

The same test on several kinds of network, and what becomes of one that this machine cannot run.
"""

from __future__ import annotations

from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]

PARAMETERS = """
    import pytest

    @pytest.mark.plumb_drivers("bridge", "macvlan")
    @pytest.mark.plumb_families(4, 6)
    @pytest.mark.plumb_firewalls("iptables", "nftables")
    def test_neighbours(lab, plumb_driver, plumb_family):
        net = lab.network("net")
        a, b = lab.container("a", networks=net), lab.container("b", networks=net)
        assert lab.plumb.network("net").driver == plumb_driver
        assert a.address().version == plumb_family
        assert a.reaches(b, tcp=80)
"""
NEEDS = """
    import pytest

    @pytest.mark.plumb_needs("veth")
    def test_there(lab):
        lab.require("bridge")

    @pytest.fixture(autouse=True)
    def no_such_kernel(monkeypatch):
        from plumb.pytest_plugin import forkserver_client
        def able(self, name):
            return name == "veth", f"this kernel has no {name}: modprobe {name}"

        monkeypatch.setattr(forkserver_client.Forkserver, "able", able)

    def test_not_there(lab):
        lab.require("ipvlan")

    @pytest.mark.plumb_drivers("ipvlan")
    def test_driver(lab):
        raise AssertionError("is not run")
"""
UNPRIVILEGED = """
    import os, pytest

    @pytest.fixture(autouse=True)
    def nobody(monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 65534)

    def test_it(nobody, lab):
        raise AssertionError("is not run")
"""


def test_a_test_runs_with_each_value(runs: Runs) -> None:
    """Drivers, families and firewalls multiply; the names of the tests say which."""
    found = runs(PARAMETERS, "-v")

    found.assert_outcomes(passed=8)
    found.stdout.fnmatch_lines_random(
        [
            "*test_neighbours[[]bridge-IPv4-iptables[]] PASSED*",
            "*[[]macvlan-IPv6-nftables[]] PASSED*",
        ]
    )


def test_a_mark_for_a_test_without_a_lab_is_a_mistake(runs: Runs) -> None:
    """It would do nothing, so it is refused."""
    found = runs("import pytest\n@pytest.mark.plumb_drivers('bridge')\ndef test_it(): pass")

    found.stdout.fnmatch_lines(
        ["*the mark plumb_drivers is for tests that use 'lab' or 'plumb_driver'*"]
    )


def test_what_the_kernel_lacks_is_skipped_with_the_reason(runs: Runs) -> None:
    """By `lab.require`, by the mark plumb_needs, and by a driver among a test's parameters."""
    found = runs(NEEDS, "-rs")

    assert found.parseoutcomes()["skipped"] >= 2
    found.stdout.fnmatch_lines(["SKIPPED*this kernel has no ipvlan: modprobe ipvlan"])


def test_strict_fails_what_would_be_skipped(runs: Runs) -> None:
    """With --plumb-strict a machine that cannot run the tests does not look as if it had."""
    found = runs(NEEDS, "--plumb-strict")

    assert found.parseoutcomes().get("skipped", 0) == 0
    found.stdout.fnmatch_lines(
        ["*this kernel has no ipvlan: modprobe ipvlan (--plumb-strict: not skipped)"]
    )


def test_an_unknown_feature_is_a_mistake(runs: Runs) -> None:
    """A feature that plumb does not know of is an error, and not skipped for ever."""
    found = runs("import pytest\n@pytest.mark.plumb_needs('ipvlam')\ndef test_it(): pass")

    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines(["*no kernel feature is called 'ipvlam'*"])


def test_without_root_labs_are_skipped(runs: Runs) -> None:
    """Who is not root is told what to do."""
    found = runs(UNPRIVILEGED, "-rs")

    found.assert_outcomes(skipped=1)
    found.stdout.fnmatch_lines(["SKIPPED*labs need root*sudo*"])


def test_a_factory_serves_a_module(runs: Runs) -> None:
    """`lab_factory` makes a lab that several tests share; settings come with it."""
    found = runs("""
        import pytest

        @pytest.fixture(scope="module")
        def shop(lab_factory):
            with lab_factory(settings={"bip": "10.77.0.1/24"}, firewall="iptables") as lab:
                lab.container("web")
                yield lab

        def test_one(shop): assert str(shop["web"].ip) == "10.77.0.2"
        def test_two(shop): assert shop["web"].reaches(shop.host)
    """)

    found.assert_outcomes(passed=2)


def test_settings_are_a_fixture(runs: Runs) -> None:
    """A suite overrides `plumb_settings` to have other ones."""
    found = runs("""
        import pytest

        @pytest.fixture
        def plumb_settings():
            return {"bip": "10.77.0.1/24"}

        def test_it(lab): assert str(lab.container("web").ip) == "10.77.0.2"
    """)

    found.assert_outcomes(passed=1)


def test_somebody_elses_fixture_of_that_name_is_left_alone(runs: Runs) -> None:
    """A suite that has a fixture called lab keeps it, and is not watched for leaks."""
    found = runs("""
        import pytest

        @pytest.fixture
        def lab():
            return "mine"

        def test_it(lab, request):
            assert lab == "mine"
            assert "plumb_gate" not in request.fixturenames
    """)

    found.assert_outcomes(passed=1)


def test_a_failure_tells_the_story(runs: Runs) -> None:
    """A failed assertion about who reaches whom says what was promised and what was observed."""
    found = runs("""
        def test_it(lab):
            web = lab.container("web", networks=lab.network("front"))
            db = lab.container("db", networks=lab.network("back"))
            assert web.reaches(db, tcp=5432)
    """)

    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        [
            "E *assert <web does not reach db (*) by tcp 5432: no answer within 0.5 s*",
            "E *promised: web must not reach db*",
            "E *observed: no answer*",
            "E *host *veth* in *",
            "E *raw PREROUTING*-j DROP",
            "E *cause: web is not on back*",
        ]
    )
    found.stdout.no_fnmatch_line("*could not be told*")
