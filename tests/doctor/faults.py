"""Faults of `plumb.lab.faults` on a lab host of the tests: its scene, injected, diagnosed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plumb.doctor import diagnose, read
from plumb.lab.faults.catalogue import FAULTS as CATALOGUE
from plumb.lab.faults.fault import Fault
from plumb.lab.faults.scene import WORDS, set_up
from plumb.model.diagnosis.finding import Finding
from tests import REPOSITORY, labs
from tests.labs import Lab, sh
from tests.waiting import DEADLINE

FAULTS = (
    *CATALOGUE,
    Fault("embedded-dns-silent", "plumb agent stop", title="the embedded DNS server is killed"),
)
"""Those that can be hidden, and one that the next command of plumb's mends."""


@contextmanager
def scene() -> Iterator[Lab]:
    """The lab of the faults; its commands end with it."""
    with labs.lab(lan=True) as lab:
        try:
            for line in set_up():
                shell(lab, line)
            yield lab
        finally:
            lab.plumb("reset", "--force")


def found(lab: Lab) -> list[Finding]:
    """Diagnose the lab's host."""
    with lab.host() as host:
        return diagnose.diagnose(read.read(host))


def until(lab: Lab, good: Callable[[list[Finding]], bool]) -> list[Finding]:
    """Diagnose until a program that was just started listens, or until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not good(last := found(lab)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return last


def inject(lab: Lab, fault: Fault) -> None:
    """Inject a fault; the settings of br_netfilter are there with its module alone."""
    if "br_netfilter" in fault.needs:
        sh("modprobe -q br_netfilter || true")
    shell(lab, fault.inject)


def shell(lab: Lab, line: str) -> str:
    """Run a shell line in which `plumb` is this lab's."""
    own = f"PLUMB_ROOT={lab.root} PYTHONPATH={REPOSITORY} {sys.executable} -m plumb"
    return sh(f'plumb() {{ {own} "$@"; }}\n{WORDS}\n{line}')
