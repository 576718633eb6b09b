"""Silence: where nothing is wrong, nothing is found, and what was looked at is said."""

from __future__ import annotations

import time

import pytest

from plumb.doctor import diagnose, read
from tests import fake_cluster, labs
from tests.cases import CASES, on_kernels
from tests.labs import Lab, sh

TOLD_NOT_TO_FORWARD = frozenset({"no-forwarding", "nft-no-forwarding"})
"""Labs in which plumb leaves forwarding off: their containers reach nobody outside."""


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    "name", on_kernels(name for name in CASES if name not in TOLD_NOT_TO_FORWARD)
)
def test_a_lab_of_plumb_has_no_fault(name: str) -> None:
    """Of every driver, with every option."""
    case = CASES[name]
    with labs.lab(lan=True) as lab, fake_cluster.processes():
        sh(case.before or "true")
        with lab.host(settings=case.settings) as host:
            with host.operation() as verbs:
                case.build(verbs)
            assert diagnose.diagnose(read.read(host)) == []


def test_a_host_without_containers_has_no_fault(lan: Lab) -> None:
    """Exit status 0, and it says what was looked at: green means looked at."""
    ran = lan.plumb("doctor")

    assert ran.stdout.startswith("no problem found\nlooked at: 1 namespace, 0 containers")


@pytest.mark.alone
def test_two_hundred_containers_are_read_within_two_seconds(lan: Lab) -> None:
    """A large host is diagnosed as quickly as one asks."""
    with lan.host() as host:
        host.create_network("many", subnet="10.50.0.0/16")
        with host.operation() as verbs:
            for number in range(200):
                verbs.run(f"c{number}", network="many")
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert diagnose.diagnose(read.read(host)) == []
            took.append(time.monotonic() - started)
        assert min(took) < 2
