"""plumb on a kernel that is a dict: what needs no machine is tested there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from plumb import Host
from plumb.engine.cluster.access import Cluster
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.things import Thing
from plumb.things.iptables import Family, Policy
from plumb.things.layer3 import Sysctl

FORWARDING = [
    Sysctl(f"net/{name}", "0")
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding")
]
FRESH: list[Thing] = [
    *FORWARDING,
    Sysctl("net/bridge/bridge-nf-call-iptables", "0"),
    Sysctl("net/bridge/bridge-nf-call-ip6tables", "0"),
    *(Policy(family, "filter", "FORWARD", "ACCEPT") for family in Family),
]
"""A host that has not been touched."""


class MemoryHosts(ExitStack):
    """Opens plumb on one root and one kernel, as often as a test likes.

    Args:
        root: where its state lies.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root, self.kernel = root, MemoryKernel(FRESH)

    def __call__(
        self, system: System | None = None, cluster: Cluster | None = None, **settings: object
    ) -> Host:
        """plumb with these settings (daemon.json's keys, with underscores), on that system."""
        named = {key.replace("_", "-"): value for key, value in settings.items()}
        return self.enter_context(
            Host(
                self.root,
                settings=named,
                kernel=self.kernel,
                system=system or System(),
                cluster=cluster,
            )
        )
