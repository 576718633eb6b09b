"""Golden: the plan of everything that can be built, as the commands that one would type.

Whoever changes a driver sees here what the change means, in the field's own language. After a
change that is meant:
`PLUMB_UPDATE_GOLDEN=1 make test`, and read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from plumb import Host
from plumb.engine.host_facts import HostFacts
from plumb.kernel.memory import MemoryKernel
from plumb.plan import Step
from plumb.things.iptables import Family, Policy
from plumb.things.layer3 import Sysctl
from plumb.views.shell import commands
from tests.cases import CASES, fixed_ids

GOLDEN = Path(__file__).parent / "golden"
FORWARDING = [
    Sysctl(f"net/{name}", "0")
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding")
]
FRESH = [
    *FORWARDING,
    Sysctl("net/bridge/bridge-nf-call-iptables", "0"),
    Sysctl("net/bridge/bridge-nf-call-ip6tables", "0"),
    *(Policy(family, "filter", "FORWARD", "ACCEPT") for family in Family),
]
"""A host that has not been touched."""


def planned(name: str) -> str:
    """The plan of a case on a fresh host, as text."""
    case = CASES[name]
    taken: list[Step] = []

    def note(steps: Sequence[Step]) -> None:
        taken.extend(steps)

    now = [
        replace(sysctl, value="1")
        for sysctl in FORWARDING
        if sysctl.name.replace("/", ".") + "=1" in case.before
    ]
    with (
        fixed_ids(),
        Host(
            "/lab",
            settings=case.settings,
            kernel=MemoryKernel([*FRESH, *now]),
            on_steps=note,
            dry_run=True,
        ) as host,
    ):
        kinds = {"lab0": "bridge"} if "ip link add lab0" in case.before else {"eth0": "veth"}
        host.__dict__["_machine"] = HostFacts(kind_of=kinds.get)
        with host.operation() as verbs:
            case.build(verbs)
    return "".join(line + "\n" for line in commands(taken, explain=True))


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_as_written_down(name: str) -> None:
    """What would be done for each case is what tests/golden says."""
    file = GOLDEN / f"{name}.txt"
    found = planned(name)
    if os.environ.get("PLUMB_UPDATE_GOLDEN"):
        file.write_text(found)

    assert file.read_text() == found


def test_no_golden_file_is_without_a_case() -> None:
    """Every file in tests/golden belongs to a case."""
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(CASES)
