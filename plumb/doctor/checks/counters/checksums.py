"""Checksums: datagrams and segments that arrived damaged, as the kernel counts them."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import NamespaceState, Snapshot

LEAST, SHARE = 10, 1000
"""Damaged packets that are told: so many at least, and one in so many that came."""
KINDS = {
    "UDP datagrams": ("UdpInCsumErrors", "UdpInDatagrams"),
    "TCP segments": ("TcpInCsumErrors", "TcpInSegs"),
}


def damaged(snapshot: Snapshot) -> Iterator[Finding]:
    """Find namespaces in which a notable share of what came had a wrong checksum."""
    found = [
        (space, kind, *counts)
        for space in (snapshot.host, *snapshot.spaces)
        for kind, names in KINDS.items()
        if _many(counts := (space.counter(names[0]), space.counter(names[1])))
    ]
    if not found:
        return
    overlay = any(net.multi_host for net in snapshot.networks)
    yield Finding(
        "checksum-errors",
        Grade.HINT,
        Severity.WARNING,
        "packets with wrong checksums arrive: "
        + ", ".join(f"{bad} {kind} in {space.name}" for space, kind, bad, _ in found),
        tuple(dict.fromkeys(space.name for space, *_ in found)),
        tuple(_read(space, kind, bad, came) for space, kind, bad, came in found),
        "The receiver drops them, and whoever sent them has to send them again. A network card that"
        " is to make the checksums of tunnelled packets and cannot"
        + (" (VXLAN on vmxnet3) is a usual cause" if overlay else " is one cause, a bad line one")
        + "; it is the sender's.",
        ("on the machine that sends them: ethtool -K LINK tx-checksum-ip-generic off",),
    )


def _many(counts: tuple[int, int]) -> bool:
    bad, came = counts
    return bad >= LEAST and bad * SHARE >= bad + came


def _read(space: NamespaceState, kind: str, bad: int, came: int) -> str:
    return f"{space.name}: nstat -az {KINDS[kind][0]}: {bad}, {KINDS[kind][1]}: {came}"
