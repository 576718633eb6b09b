"""Reasons: every object that plumb makes has one."""

from __future__ import annotations

import pytest

from plumb.explain.kinds import REASONS, reason
from plumb.explain.sysctls import ASKED
from plumb.things.layer3 import Sysctl
from plumb.things.registry import KINDS
from tests.cases import CASES
from tests.test_golden import steps


def test_every_kind_of_thing_has_a_reason() -> None:
    assert set(REASONS) == set(KINDS.values())


@pytest.mark.parametrize("name", CASES)
def test_every_object_of_a_case_is_explained(name: str) -> None:
    """By what it is, why it is there, and what breaks without it."""
    for step in steps(name):
        found = reason(step.thing)
        assert all((found.what, found.why, found.without)), step.thing
        assert "noted reasons" not in found.why, step.thing


def test_a_setting_that_was_asked_for_says_so() -> None:
    """Any other has a sentence of its own."""
    assert reason(Sysctl("net/ipv4/tcp_syncookies", "0", "ns")) is ASKED
    for name in ("net/ipv4/ip_forward", "net/ipv4/conf/br-1.2/route_localnet"):
        assert reason(Sysctl(name, "1")) is not ASKED
