"""Causes in a service of the cluster: no task to go to, or no virtual address."""

from __future__ import annotations

from plumb.model.net.targets import Balanced
from plumb.trace.causes.case import Case, Cause


def find(case: Case) -> Cause | None:
    """Find out why a service answers nobody."""
    balanced = case.balanced
    if balanced is None:
        return None
    one = balanced.one
    if not one.backends:
        scale = f"plumb service scale {one.name}=1"
        return Cause("no-task", f"service {one.name} has no task on any host", remedies=(scale,))
    if not one.slots:
        return _drained(balanced)
    return _without_address(case, balanced)


def _drained(balanced: Balanced) -> Cause:
    one = balanced.one
    return Cause(
        "no-task-with-weight",
        f"no task of service {one.name} gets new connections: each is unhealthy, or on its way out",
        tuple(
            f"{balanced.place.name}: {end.name} at {end.ip.ip} has weight 0" for end in one.backends
        ),
        (f"plumb service ps {one.name}    tells the state of its tasks",),
    )


def _without_address(case: Case, balanced: Balanced) -> Cause | None:
    """The balancer has lost the virtual address."""
    facts = case.of(balanced.place)
    own = {ip.ip for _, ip in facts.addresses}
    missing = [ip for ip in balanced.one.ips if ip.ip not in own]
    if not facts.links or not missing:
        return None
    return Cause(
        "no-virtual-address",
        f"the balancer of {balanced.net.name} does not have the virtual address"
        f" {missing[0].ip} of service {balanced.one.name}",
        (f"{balanced.place.name}: none of its links has {missing[0].ip}",),
        ("plumb repair",),
    )
