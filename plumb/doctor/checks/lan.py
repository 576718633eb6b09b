"""macvlan and ipvlan: networks on a link of the host."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot


def _on_parents(snapshot: Snapshot) -> Iterator[NetworkState]:
    return (net for net in snapshot.used if net.on_lan and net.parent)


def parent_down(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose parent link is gone or down."""
    for net in _on_parents(snapshot):
        parent = snapshot.host.link(net.parent)
        if parent is None or not parent.up:
            yield Finding(
                "parent-down",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"{net.parent}, on which {net.name} stands, is {'down' if parent else 'gone'}",
                (net.name,),
                (f"ip link show {net.parent}: {'no UP' if parent else 'does not exist'}",),
                f"The containers' {net.driver} links send and receive by their parent, and are down"
                " while it is. If it was deleted, they went with it.",
                (remedies.link_up(net.parent),) if parent else (remedies.rebuild(net.engine),),
            )
        elif not parent.carrier:
            yield Finding(
                "parent-no-carrier",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"{net.parent}, on which {net.name} stands, has no carrier",
                (net.name,),
                (f"ip link show {net.parent}: NO-CARRIER",),
                "Nothing is at the other end of the link: a plug that is out, a switch port that is"
                " off, or a veth peer that is down. The containers reach each other at most.",
                (f"ip link show {quote(net.parent)}",),
            )


def wireless(snapshot: Snapshot) -> Iterator[Finding]:
    """Find macvlan networks on Wi-Fi."""
    for net in _on_parents(snapshot):
        if net.own_mac and net.parent in snapshot.host.wireless:
            yield Finding(
                "macvlan-wifi",
                Grade.LIKELY,
                Severity.PROBLEM,
                f"{net.name} stands on {net.parent}, which is Wi-Fi",
                (net.name,),
                (f"iw dev: {net.parent} is there",),
                "An access point takes frames from the one MAC that has registered, and a macvlan"
                " container has its own. ipvlan's containers have the parent's.",
                (
                    (
                        f"{remedies.words_of(net.engine)} network create -d ipvlan"
                        f" -o parent={quote(net.parent)} …"
                    ),
                ),
            )
