"""Tables of the kernel that are full, and modules that are not the running kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.doctor import firewalls, remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot
from plumb.things.layer3 import dotted

COUNT, MOST = "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max"
NEIGHBOURS = "net/ipv4/neigh/default/gc_thresh3"
NEARLY = 0.8
LEGACY = "legacy"
"""Word in the name of the file that iptables is then: xtables-legacy-multi."""


def number(snapshot: Snapshot, name: str) -> int | None:
    """A sysctl of the host that is a number; None where the kernel has none."""
    value = snapshot.host.setting(name)
    return int(value) if re.fullmatch("[0-9]{1,18}", value) else None


def conntrack(snapshot: Snapshot) -> Iterator[Finding]:
    """Find connection tracking that has no room for further flows."""
    count, most = (number(snapshot, name) for name in (COUNT, MOST))
    if count is not None and most and count >= NEARLY * most:
        full = count >= most
        yield Finding(
            "conntrack-full",
            Grade.PROVEN if full else Grade.LIKELY,
            Severity.PROBLEM if full else Severity.WARNING,
            f"connection tracking has {count} of at most {most} flows",
            ("host",),
            (f"sysctl {dotted(COUNT)} = {count}", f"sysctl {dotted(MOST)} = {most}"),
            "The first packet of a flow that finds no room is dropped, whoever sends it. Existing"
            " connections go on, so the host seems to work.",
            (remedies.setting(snapshot.host, MOST, str(2 * most)),),
        )


def neighbours(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a neighbour table that has no room: it is one for all namespaces."""
    most = number(snapshot, NEIGHBOURS)
    spaces = (snapshot.host, *snapshot.spaces)
    count = sum(
        each.ip.version == 4 and each.state not in ("PERMANENT", "NOARP")
        for space in spaces
        for each in space.neighbours
    )
    if most is not None and count >= NEARLY * most:
        full = count >= most
        yield Finding(
            "neighbours-full",
            Grade.LIKELY,
            Severity.PROBLEM if full else Severity.WARNING,
            f"the neighbour table has {count} of at most {most} entries",
            ("host",),
            (f"ip neigh, all namespaces: {count} entries", f"sysctl {dotted(NEIGHBOURS)} = {most}"),
            "The kernel has one table of neighbours for all namespaces. A packet to a neighbour for"
            " whom there is no room is not sent (Neighbour table overflow).",
            (remedies.setting(snapshot.host, NEIGHBOURS, str(4 * most)),),
        )


def no_legacy(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a host whose command iptables is of the variant that its kernel has no tables for."""
    machine = snapshot.machine
    engine = next((name for _, name in machine.processes if name in ("dockerd", "podman")), "")
    needed = engine and not firewalls.has_own_tables(snapshot)  # dockerd may write nft's alone
    if not machine.legacy and LEGACY in machine.iptables and needed:
        yield Finding(
            "iptables-without-kernel",
            Grade.LIKELY,
            Severity.WARNING,
            "the command iptables needs tables that the running kernel does not have",
            ("host",),
            (
                f"iptables: {machine.iptables}",
                f"/lib/modules/{machine.release}: no ip_tables, and none is loaded",
                f"{engine} runs",
            ),
            "The legacy variant says 'Table does not exist' on a kernel without"
            " CONFIG_NETFILTER_XTABLES_LEGACY (6.17 and later). Engines that run this command fail"
            " to publish ports and to start containers.",
            (
                "update-alternatives --set iptables /usr/sbin/iptables-nft",
                "update-alternatives --set ip6tables /usr/sbin/ip6tables-nft",
            ),
        )


def modules(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a kernel whose modules were removed by an upgrade."""
    machine = snapshot.machine
    if machine.modules and machine.release and machine.release not in machine.modules:
        yield Finding(
            "modules-of-another-kernel",
            Grade.HINT,
            Severity.WARNING,
            f"the running kernel {machine.release} has no modules installed",
            ("host",),
            (f"/lib/modules: {', '.join(machine.modules)}",),
            "A link or a rule of a kind that is not loaded fails with 'operation not supported'."
            " An upgrade replaced the modules, and the machine was not started again.",
            ("reboot",),
        )
