"""The kernel in a dict: as strict as the real one, so that what passes here has a meaning."""

from __future__ import annotations

from ipaddress import IPv4Interface

import pytest

from plumb.kernel.memory import MemoryKernel
from plumb.plan import Step, StepFailed
from plumb.things.iptables import Chain, Family, Rule
from plumb.things.layer3 import Address
from plumb.things.links import Bridge, Up, Veth
from plumb.things.sandbox import Namespace

BRIDGE = Bridge("br0", "02:00:00:00:00:01")
GATEWAY = Address("br0", IPv4Interface("10.0.0.1/24"))
BOX = Namespace("/ns")
CABLE = Veth("veth0", "br0", "eth0", "/ns", "02:00:00:00:00:02")
INSIDE = Address("eth0", IPv4Interface("10.0.0.2/24"), "/ns")


def add(
    kernel: MemoryKernel, *things: Bridge | Address | Namespace | Veth | Up | Chain | Rule
) -> None:
    """Add them in order."""
    kernel.take([Step(None, thing) for thing in things])


def test_what_was_added_is_there() -> None:
    """And nothing else."""
    kernel = MemoryKernel()
    add(kernel, BRIDGE)
    assert kernel.look([BRIDGE, GATEWAY]) == [BRIDGE, None]


def test_a_look_tells_how_it_is() -> None:
    """Not how it was asked for."""
    now = Bridge("br0", "02:00:00:00:00:01", 1400)
    assert MemoryKernel([now]).look([BRIDGE]) == [now]


def test_adding_what_is_there_is_an_error() -> None:
    """As the kernel's EEXIST."""
    with pytest.raises(StepFailed, match="it is there already"):
        add(MemoryKernel([BRIDGE]), BRIDGE)


def test_adding_to_what_is_not_there_is_an_error() -> None:
    """An address needs its link, a rule its chain."""
    with pytest.raises(StepFailed, match="link  br0 is not there"):
        add(MemoryKernel(), GATEWAY)
    with pytest.raises(StepFailed, match="is not there"):
        add(MemoryKernel(), Rule(Family.V4, "filter", "PLUMB", "-j DROP"))


def test_a_cable_has_two_ends() -> None:
    """The end in the sandbox comes and goes with it."""
    kernel = MemoryKernel()
    add(kernel, BRIDGE, BOX, CABLE, INSIDE, Up("eth0", "/ns"))
    kernel.take([Step(CABLE, None)])
    assert list(kernel.things.values()) == [BRIDGE, BOX]


def test_a_namespace_takes_all_that_is_in_it() -> None:
    """As in the kernel."""
    kernel = MemoryKernel()
    add(kernel, BOX, Up("lo", "/ns"))
    kernel.take([Step(BOX, None)])
    assert kernel.things == {}


def test_removing_what_is_gone_counts_as_done() -> None:
    """As everywhere in plumb."""
    MemoryKernel().take([Step(BRIDGE, None)])


def test_a_change_is_in_place() -> None:
    """What hangs on it stays."""
    kernel = MemoryKernel([BRIDGE, GATEWAY])
    kernel.take([Step(BRIDGE, now := Bridge("br0", "02:00:00:00:00:01", 1400))])
    assert list(kernel.things.values()) == [now, GATEWAY]


def test_a_failure_says_what_was_done() -> None:
    """And what comes after it is not tried."""
    kernel, steps = (
        MemoryKernel([GATEWAY]),
        [Step(None, BRIDGE), Step(None, GATEWAY), Step(None, BOX)],
    )
    with pytest.raises(StepFailed) as caught:
        kernel.take(steps)
    assert (caught.value.step, caught.value.done) == (steps[1], steps[:1])
    assert kernel.look([BOX]) == [None]


def test_rules_are_told_in_order() -> None:
    """Those that are there."""
    rules = [Rule(Family.V4, "filter", "FORWARD", f"-i {dev} -j DROP") for dev in "abc"]
    assert MemoryKernel(rules[:2]).order(rules) == rules[:2]


def test_the_order_is_the_one_in_which_rules_came() -> None:
    """Whatever the order in which they are asked for."""
    rules = [Rule(Family.V4, "filter", "FORWARD", f"-i {dev} -j DROP") for dev in "abc"]
    assert MemoryKernel(rules).order(rules[::-1]) == rules
