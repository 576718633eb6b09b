"""Connection tracking: flows that were thrown out for others, packets that belong to no flow."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.doctor.checks.limits import MOST, NEARLY, number
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot
from plumb.things.layer3 import dotted

LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"
CAME = ("IpInReceives", "Ip6InReceives")
"""Counters of packets that came; connection tracking counts those of both versions."""
STATISTICS = "conntrack -S"
"""Command that shows the counters of each processor."""
LEAST, SHARE = 1000, 100
"""Invalid packets that are told: so many at least, and one in so many that came."""


def was_full(snapshot: Snapshot) -> Iterator[Finding]:
    """Find that connection tracking was full once, where it is not now.

    The counter never falls, so that no remedy follows from it: a limit that was raised since may
    be enough.
    """
    thrown, most = snapshot.host.counter("conntrack early_drop"), number(snapshot, MOST)
    count = number(snapshot, "net/netfilter/nf_conntrack_count") or 0
    if thrown and most and count < NEARLY * most:
        yield Finding(
            "conntrack-was-full",
            Grade.HINT,
            Severity.WARNING,
            f"connection tracking was full since the boot: it threw {thrown} flows out",
            ("host",),
            (
                f"{STATISTICS}: early_drop {thrown}, the sum of all processors",
                f"sysctl {dotted(MOST)} = {most}, and {count} flows now",
            ),
            "The kernel throws out flows that are not answered yet when there is no room for"
            " another, and drops packets where it finds none. It may be long ago, with another"
            " limit: the counter stays until the next boot.",
            (f"{STATISTICS}, twice: if early_drop grows, sysctl -w {dotted(MOST)}=MORE",),
        )


def invalid(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a notable share of packets that connection tracking can place in no flow.

    Nothing is told where a rule drops them, or where TCP's windows are not held against them.
    """
    host = snapshot.host
    count, came = host.counter("conntrack invalid"), sum(map(host.counter, CAME))
    masqueraded = any(net.nat and not net.internal for net in snapshot.bridges)
    if count < LEAST or count * SHARE < came or not masqueraded or host.setting(LIBERAL) == "1":
        return
    if not any(
        _drops_invalid(rule.conditions, rule.verdict)
        for chain in host.chains
        if chain.hook not in ("input", "output")  # what is forwarded does not pass these
        for rule in chain.rules
    ):
        yield Finding(
            "packets-invalid",
            Grade.HINT,
            Severity.WARNING,
            f"connection tracking could not place {count} packets in a flow (INVALID)",
            ("host",),
            (
                f"{STATISTICS}: invalid {count}, the sum of all processors",
                f"nstat -az {' '.join(CAME)}: {came} in all",
                (
                    f"sysctl {dotted(LIBERAL)} = {host.setting(LIBERAL) or '(none)'}, and no rule"
                    " drops what is INVALID"
                ),
            ),
            "NAT leaves such packets as they are: a container's leave with its own address, and for"
            " an answer its host sends a RST. Connections that were open break now and then.",
            (
                "iptables -w -I FORWARD -m conntrack --ctstate INVALID -j DROP",
                remedies.setting(host, LIBERAL, "1"),
            ),
        )


def _drops_invalid(conditions: tuple[tuple[str, tuple[str, ...], bool], ...], verdict: str) -> bool:
    return verdict == "drop" and any(
        key == "ct state" and "invalid" in values and not negated
        for key, values, negated in conditions
    )
