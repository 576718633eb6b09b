"""Nothing in the kernel of a lab is without an explanation, but for what was there before.

Read are links, addresses, routes, neighbours, settings, chains and rules, of the host and of each
container, with the system's own tools.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.engine.reader import Reader
from plumb.explain.explain import Record
from plumb.explain.subject import Subject
from plumb.kernel.system import this_system
from plumb.model.cnm import Status
from tests import fake_cluster, labs
from tests.cases import CASES, fixed, on_kernels
from tests.labs import sh, state

FIRST_WORD = ("links", "neighbours", "fdb")


def subjects(what: str, line: str) -> Iterator[str]:
    """Questions about a line of `labs.state`; none about what the kernel makes by itself."""
    words = line.split()
    if what in FIRST_WORD:
        yield words[0]
    elif what == "addresses":
        yield words[2]
    elif what == "routes" and "proto kernel" not in line:
        yield words[0]
    elif what in ("iptables", "ip6tables") and words[1] == "-A":
        yield line.split(" ", 3)[3]
    elif what in ("iptables", "ip6tables"):
        chain, target = words[1].removeprefix(":"), words[2]
        yield chain if target == "-" else f"-P {chain} {target}"
    elif what == "sysctls" and "/conf/" not in words[0] and "/neigh/" not in words[0]:
        yield words[0].removeprefix("/proc/sys/").removesuffix(":")
    elif what == "nft" and ": chain " in line:
        yield line.split(": chain ")[1].split()[0]


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", on_kernels(CASES))
def test_all_that_the_kernel_has_is_explained(name: str) -> None:
    case = CASES[name]
    with fake_cluster.processes(), labs.lab(lan=True) as lab:
        sh(case.before or "true")
        there = {what: set(lines) for what, lines in state().items()}
        with lab.host(settings=case.settings, system=fixed(this_system())) as host:
            with host.operation() as verbs:
                case.build(verbs)
            boxes = {
                box.name: host.namespace(box)
                for box in host.containers()
                if box.status is Status.RUNNING and not box.shares
            }
            found = state(boxes)
            with Reader(lab.root, settings=case.settings) as reader:
                record = Record(reader)
                unknown = [
                    (what, asked)
                    for what, lines in found.items()
                    for line in sorted(set(lines) - there.get(what, set()))
                    if not what.endswith(" sysctls")  # a container begins with the kernel's own
                    for asked in subjects(what.rpartition(" ")[2], line)
                    if asked != "lo" and not record.find(Subject.parse((asked,))).exact
                ]
            host.reset()
    assert unknown == []
