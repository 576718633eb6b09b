"""Failure at every step: whatever fails, and wherever, all is as before.

The kernel, the store, the addresses.

A kernel that refuses the k-th step stands in for whatever can go wrong there. For each case and
each k the operation is tried on a real host, must fail with one error that names the step, and must
leave nothing of itself. Most steps are alike, so of each operation some are drawn
(tests/sampling.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from plumb import Host, StepFailed
from plumb.engine.verbs import Transaction
from plumb.errors import KernelRefused
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.system import this_system
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.plan import Step
from plumb.things import HOST
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.iptables import Chain, InChain
from plumb.things.layer3 import Route
from plumb.things.links import Dummy, Moved, OnParent, Up, Vlan
from plumb.things.nftables import InTable, NftTable
from tests import fake_cluster, labs
from tests.cases import CASES, FORWARDS, on_kernels
from tests.labs import Lab, processes, sh, state
from tests.sampling import drawn

Do = Callable[[Transaction], object]
DRAWN = 3
"""So many steps of an operation fail in a sampled run."""


class Failing(LinuxKernel):
    """The real kernel, which refuses one step.

    Attributes:
        at: the number of the step that is refused; below 0: none is.
        refused: whether that has happened.
        taken: how many steps were asked for altogether.
    """

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.taken, self.refused = at, 0, False

    def take(self, steps: Sequence[Step]) -> None:
        """Take what comes before the step to refuse, then refuse it.

        What follows (the way back) is taken.
        """
        left = self.at - self.taken
        self.taken += len(steps)
        if self.refused or not 0 <= left < len(steps):
            return super().take(steps)
        self.refused = True
        super().take(steps[:left])
        raise StepFailed(
            KernelRefused(str(steps[left]), said="refused by the test"), steps[left], steps[:left]
        )


def steps_of(lab: Lab, do: Do, settings: Any) -> list[Step]:
    """The steps that an operation has."""
    counted: list[Step] = []
    with (
        Host(lab.root, settings=settings, dry_run=True, on_steps=counted.extend) as host,
        host.operation() as verbs,
    ):
        do(verbs)
    return counted


def fail_everywhere(
    lab: Lab, do: Do, settings: Any, key: str, only: Callable[[Step], bool] = lambda step: True
) -> None:
    """Try an operation with each of its steps failing, or with those that are drawn for a key.

    After each, all must be as before.
    """
    steps = list(enumerate(steps_of(lab, do, settings)))
    failing = drawn([at for at, step in steps if only(step)], DRAWN, key)
    before, stored, running = state(), known(lab), commands()

    assert failing
    for at in failing:
        refusing = Failing(at)
        with (
            Host(lab.root, settings=settings, kernel=refusing, system=this_system()) as host,
            pytest.raises(StepFailed, match="refused by the test") as caught,
        ):
            attempt(host, do)

        assert caught.value.stuck == []
        assert state() == before, f"after the failure of step {at}: {caught.value.step}"
        assert known(lab) == stored
        assert commands() == running


def commands() -> list[str]:
    """The command lines of plumb's processes; a descriptor's number in them says nothing."""
    return sorted(
        re.sub(r"(main\(\)|'__main__'\)) \d+ ", r"\1 ", line.partition(" ")[2])
        for line in processes()
    )


def attempt(host: Host, do: Do) -> None:
    """One operation."""
    with host.operation() as verbs:
        do(verbs)


def known(lab: Lab) -> list[object]:
    """What the store says."""
    with lab.host() as host:
        objects = [*host.store.all(Network), *host.store.all(Sandbox), *host.store.all(Endpoint)]
        return [objects, host.store.things(), host.store.unfinished()]


def firewall_or_port(step: Step) -> bool:
    """What another back end, or another way to publish, does differently.

    Its links and addresses are walked with its twin.
    """
    return isinstance(step.thing, InChain | InTable | NftTable | Agent | HostPort | Proxy)


def for_names(step: Step) -> bool:
    """What each container on a network of users has for its names, whatever else it has."""
    inside = (
        isinstance(step.thing, Chain | InChain | InTable | NftTable) and step.thing.where != HOST
    )
    return inside or isinstance(step.thing, Names | Resolver)


WALKED = ("nft-default", "nft-published", "published", "two-networks-published")
"""Of the cases that have a twin, those whose every step is walked all the same."""
ALIKE = (
    "default-bip",
    "default-no-masquerade",
    "ipv6-icc-off",
    "internal-icc-off",
    "icc-off",
    "no-masquerade",
    "snat",
    "direct-routing",
    "fwmark",
    "trusted",
    "unprotected",
    "forwarding-before",
    "no-proxy",
)
"""What differs from another case in its rules alone has that one for a twin."""
NAMED = ("names", "nft-names")
"""Where the steps for names are walked, and only they: all else in these is like elsewhere."""


def of_the_lan(step: Step) -> bool:
    """What only a network on a parent has.

    Its container's other things are those of any container.
    """
    return isinstance(step.thing, OnParent | Vlan | Dummy | Route) or (
        isinstance(step.thing, Up) and step.thing.ns == HOST
    )


def of_an_overlay(step: Step) -> bool:
    """What only an overlay network has: its namespace, its balancer's, and what is published."""
    own = isinstance(step.thing, Moved | EndpointRecord)
    return own or re.search("/(1-|lb_)5+$", step.thing.where) is not None


def worth(name: str) -> Callable[[Step], bool]:
    """Which of a case's steps are walked."""
    if name.startswith("overlay"):
        return of_an_overlay
    if name.startswith(("macvlan", "ipvlan")):
        return of_the_lan
    if name in NAMED:
        return lambda step: for_names(step) or isinstance(step.thing, Agent)
    twin = name in ALIKE or (
        name not in WALKED and ("published" in name or name.startswith("nft-"))
    )
    return lambda step: not for_names(step) and (not twin or firewall_or_port(step))


SAME_STEPS = ("ipvlan", "ipvlan-private", "ipvlan-vepa", "ipvlan-l3", "ipvlan-l3s", "ipvlan-alone")
"""Their steps are those of another case of ipvlan, but for a word in one message.

Test_replay.py has that word typed.
"""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", on_kernels(name for name in CASES if name not in SAME_STEPS))
def test_a_failed_build_leaves_nothing(name: str) -> None:
    """Whatever step of whatever build fails, the host is as it was."""
    case = CASES[name]
    with labs.lab(lan=True) as lab, fake_cluster.processes():
        sh(case.before or "true")
        if not name.startswith("default") and name != "nft-default":
            with lab.host(settings=case.settings) as host, host.operation() as verbs:
                if (
                    name not in (*WALKED, *NAMED)
                    # what all share was tried with these; what is there need not come and go each
                    # time
                ):
                    verbs.create_network("kept", subnet="10.99.0.0/24")
                    verbs.run("keeper", network="kept")
        fail_everywhere(lab, case.build, case.settings, name, worth(name))


CHANGES: dict[str, Do] = {
    "connect": lambda verbs: verbs.connect("n3", "c1", gw_priority=9),
    "disconnect": lambda verbs: verbs.disconnect("n2", "c1"),
    "stop": lambda verbs: verbs.stop("c1"),
    "restart": lambda verbs: verbs.restart("c2"),
    "rm": lambda verbs: verbs.remove("c1", force=True),
    "network rm": lambda verbs: verbs.remove_network("n3"),
    "prune and create": lambda verbs: (
        verbs.prune_networks(),
        verbs.create_network("n4", subnet="172.24.0.0/24"),
    ),
}


@pytest.mark.sampled(3, "name")
@pytest.mark.parametrize("backend", ["iptables", "legacy", "nftables"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_failed_change_leaves_all_as_it_was(name: str, backend: str) -> None:
    """Whatever step of a change to running containers fails, they run on as before, and their ports
    are where they were."""
    settings = {"firewall-backend": backend.replace("legacy", "iptables")}
    with labs.iptables("legacy" if backend == "legacy" else ""), labs.lab(lan=True) as lab:
        sh(FORWARDS)
        with lab.host(settings=settings) as host, host.operation() as verbs:
            CASES["two-networks-published"].build(verbs)
            verbs.create_network("n3", subnet=["172.22.0.0/24", "fd00:22::/64"], ipv6=True)
        fail_everywhere(lab, CHANGES[name], settings, f"{name} {backend}")
        with lab.host(settings=settings) as host:
            assert "1 received" in lab.inside(host, "c1", f"ping -c1 -W10 {labs.INTERNET}")
            assert host.check() == []
            host.reset()


@pytest.mark.parametrize("network", ["n1", "none", "host"])
def test_a_failed_restart_leaves_the_command_running(network: str, lab: Lab) -> None:
    """It may be another process by then; its names and its server are there as before."""
    with lab.host() as host, host.operation() as verbs:
        verbs.create_network("n1", subnet="172.20.0.0/24")
        verbs.run("c1", network=network, command=["sleep", "1000"])
        verbs.run("c2", network="n1")
    fail_everywhere(lab, lambda verbs: verbs.restart("c1"), {}, f"restart {network}")
    with lab.host() as host:
        assert host.check() == []
        if network == "n1":
            assert "172.20.0.2" in lab.plumb("exec", "c2", "getent", "hosts", "c1").stdout
        host.reset()


ON_THE_LAN: dict[str, Do] = {
    "connect": lambda verbs: verbs.connect("n1", "c3"),
    "disconnect": lambda verbs: verbs.disconnect("n1", "c1"),
    "stop": lambda verbs: verbs.stop("c2"),
    "restart": lambda verbs: verbs.restart("c2"),
    "all at once": lambda verbs: (
        verbs.remove("c1", force=True),
        verbs.remove("c2", force=True),
        verbs.remove_network("n1"),
    ),
}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *((name, "macvlan-beside-a-bridge") for name in ON_THE_LAN),
        *(
            pytest.param(name, "ipvlan-l3-beside-a-bridge", marks=pytest.mark.needs("ipvlan"))
            for name in ("connect", "disconnect")
        ),
    ],
)
def test_a_failed_change_on_the_lan_leaves_all_as_it_was(name: str, case: str) -> None:
    """Links on a parent come back as they were, with their addresses and routes."""
    with labs.lab(lan=True) as lab:
        with lab.host() as host, host.operation() as verbs:
            CASES[case].build(verbs)
            verbs.run("c3", network="n2")
        fail_everywhere(lab, ON_THE_LAN[name], {}, f"{name} {case}")
        with lab.host() as host:
            assert host.check() == []
            host.reset()
