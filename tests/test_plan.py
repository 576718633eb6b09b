"""Plans: from one state to another and back, with no other inverse than to swap a step's two
sides."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.errors import KernelRefused
from plumb.kernel.memory import MemoryKernel
from plumb.plan import Step, StepFailed, carry_out, in_order, plan, take_all
from plumb.things import Thing
from plumb.things.dns import Resolver
from plumb.things.iptables import Chain, Family, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth
from plumb.things.sandbox import Namespace, Process

NS = "/ns/box"
BRIDGE = Bridge("br0", "02:00:00:00:00:01")
GATEWAY = Address("br0", IPv4Interface("10.0.0.1/24"))
BOX = Namespace(NS)
CABLE = Veth("veth0", "br0", "eth0", NS, "02:00:00:00:00:02")
INSIDE = Address("eth0", IPv4Interface("10.0.0.2/24"), NS)
DEFAULT = Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.1"), "eth0", NS)
CHAIN = Chain(Family.V4, "filter", "PLUMB")
RULE = Rule(Family.V4, "filter", "PLUMB", "-j DROP")
PROCESS = Process("box", "/c/box", "/c/box", NS, ("sleep", "1"), "box", ())
FORWARD = Sysctl("net/ipv4/ip_forward", "1")
ALL = (
    BOX,
    BRIDGE,
    GATEWAY,
    CABLE,
    CHAIN,
    RULE,
    Up("br0"),
    INSIDE,
    Up("eth0", NS),
    DEFAULT,
    PROCESS,
)


def closed(chosen: set[Thing]) -> list[Thing]:
    """Those of them that everything is there for that they use."""
    kept = list(ALL)
    while True:
        made = {key for thing in kept if thing in chosen for key in thing.makes}
        fewer = [thing for thing in kept if thing in chosen and made.issuperset(thing.uses)]
        if fewer == kept:
            return fewer
        kept, chosen = fewer, set(fewer)


states = st.sets(st.sampled_from(ALL)).map(closed)


def test_nothing_to_do() -> None:
    """From a state to itself there is no step."""
    assert plan(ALL, ALL) == []


def test_a_step_s_undo_swaps_its_sides() -> None:
    """Adding becomes removing, and undone twice it is itself."""
    step = Step(None, BRIDGE)
    assert step.undo() == Step(BRIDGE, None)
    assert step.undo().undo() == step


def test_a_step_says_what_it_does() -> None:
    """add, remove, change."""
    other = Bridge("br0", "02:00:00:00:00:01", mtu=1400)
    assert [
        str(step) for step in (Step(None, BRIDGE), Step(BRIDGE, None), Step(BRIDGE, other))
    ] == ["add bridge br0", "remove bridge br0", "change bridge br0"]


def test_one_more_thing_is_one_step() -> None:
    """What is there already is not touched."""
    assert plan([BRIDGE], [BRIDGE, GATEWAY]) == [Step(None, GATEWAY)]


def test_what_has_changed_is_changed_in_place() -> None:
    """The same key on both sides is one step with both."""
    other = Route(DEFAULT.dst, IPv4Address("10.0.0.254"), "eth0", NS)
    assert plan([DEFAULT], [other]) == [Step(DEFAULT, other)]


def test_what_goes_with_something_else_has_no_step() -> None:
    """The kernel drops addresses with their link, and all of a sandbox with its namespace."""
    assert plan([BRIDGE, GATEWAY, Up("br0")], []) == [Step(BRIDGE, None)]
    assert plan([BOX, INSIDE, DEFAULT, Up("eth0", NS)], []) == [Step(BOX, None)]


def test_a_sandbox_of_another_start_is_replaced_with_all_that_stands_on_it() -> None:
    """Its links and its server too, which are the host's and the agent's."""
    box, process = replace(BOX, start=1), replace(PROCESS, start=1)
    server = Resolver("/run", NS, 61053, 61054)
    setting = Sysctl("net/ipv4/ip_unprivileged_port_start", "0", NS)
    outside = (BRIDGE, GATEWAY, FORWARD)
    assert plan(
        [*outside, BOX, CABLE, setting, INSIDE, server, PROCESS],
        [*outside, box, CABLE, setting, INSIDE, server, process],
    ) == [
        Step(PROCESS, None),
        Step(server, None),
        Step(CABLE, None),
        Step(BOX, None),
        Step(None, box),
        Step(None, CABLE),
        Step(None, setting),
        Step(None, INSIDE),
        Step(None, server),
        Step(None, process),
    ]


def test_a_sandbox_of_the_same_start_is_changed_in_place() -> None:
    """Another plumb's settings file does not end a command."""
    process = replace(PROCESS, config="/etc/other.json")
    assert plan([BOX, PROCESS], [BOX, process]) == [Step(PROCESS, process)]


def test_a_standing_thing_is_not_removed() -> None:
    """A sysctl has no absence: to put it back, one says what it was."""
    assert plan([FORWARD], []) == []
    assert plan([FORWARD], [Sysctl("net/ipv4/ip_forward", "0")]) == [
        Step(FORWARD, Sysctl("net/ipv4/ip_forward", "0"))
    ]


def test_removals_come_first_and_backwards() -> None:
    """A name that is to be used again is free by then."""
    other = Bridge("br1", "02:00:00:00:00:03")
    assert plan([CHAIN, RULE, BRIDGE], [other, CHAIN]) == [
        Step(RULE, None),
        Step(BRIDGE, None),
        Step(None, other),
    ]


def test_the_order_of_a_careful_builder() -> None:
    """The host's part by stage, then the sandbox's inside, at last the process."""
    assert in_order(reversed(ALL)) == [
        BOX,
        CHAIN,
        CABLE,
        BRIDGE,
        GATEWAY,
        RULE,
        Up("br0"),
        INSIDE,
        Up("eth0", NS),
        DEFAULT,
        PROCESS,
    ]


def test_sandboxes_are_visited_once_each() -> None:
    """All of one before all of the next."""
    things = [
        Up("a", "/ns/1"),
        Up("a", "/ns/2"),
        Address("a", IPv4Interface("10.0.0.1/24"), "/ns/2"),
        Address("a", IPv4Interface("10.0.0.1/24"), "/ns/1"),
    ]
    assert [thing.where for thing in in_order(things)] == ["/ns/1", "/ns/1", "/ns/2", "/ns/2"]


@given(states, states)
def test_a_plan_leads_where_it_says(current: list[Thing], desired: list[Thing]) -> None:
    """From any state to any other, on a kernel that refuses what a kernel refuses."""
    kernel = MemoryKernel(current)
    carry_out(plan(current, desired), kernel)
    assert set(kernel.things.values()) == set(desired)


@given(states, states)
def test_and_the_plan_back_leads_back(current: list[Thing], desired: list[Thing]) -> None:
    """There and back again."""
    kernel = MemoryKernel(current)
    carry_out(plan(current, desired), kernel)
    carry_out(plan(desired, current), kernel)
    assert set(kernel.things.values()) == set(current)


class Breaking(MemoryKernel):
    """A kernel that refuses one step, once."""

    def __init__(self, at: Step) -> None:
        super().__init__()
        self.at: Step | None = at

    def _wrong(self, step: Step) -> str:
        if step == self.at:
            self.at = None
            return "broken on purpose"
        return super()._wrong(step)


@pytest.mark.parametrize("at", range(len(ALL)))
def test_a_step_that_fails_takes_back_those_before(at: int) -> None:
    """Whichever it is, nothing is left, and the failure says which it was."""
    steps = plan([], ALL)
    kernel = Breaking(steps[at])
    with pytest.raises(StepFailed, match="broken on purpose") as caught:
        carry_out(steps, kernel)
    assert kernel.things == {}
    assert (caught.value.step, caught.value.done, caught.value.stuck) == (steps[at], steps[:at], [])


def test_taking_all_goes_past_errors() -> None:
    """What can be taken is taken; what cannot be is told."""
    steps = [Step(None, BRIDGE), Step(None, INSIDE), Step(None, GATEWAY)]
    kernel = MemoryKernel()
    errors = take_all(steps, kernel)
    assert list(kernel.things.values()) == [BRIDGE, GATEWAY]
    assert [type(error.cause) for error in errors if isinstance(error, StepFailed)] == [
        KernelRefused
    ]
