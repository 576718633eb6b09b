"""Forwarding: the host is no router for its containers, or ceases to take routers' news."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot
from plumb.things.layer3 import dotted

FORWARD = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
RTPROT_RA = "9"


def _routed(snapshot: Snapshot, version: int) -> list[NetworkState]:
    """Networks whose containers reach others through this host."""
    return [
        net
        for net in snapshot.bridges
        if not net.internal and any(subnet.version == version for subnet in net.subnets)
    ]


def off(snapshot: Snapshot) -> Iterator[Finding]:
    """Find forwarding that is off for the whole host."""
    for version, name in FORWARD.items():
        nets = _routed(snapshot, version)
        if nets and snapshot.host.setting(name) == "0":
            again = [
                f"{file} sets {each} = {value}: change it there, too"
                for file, each, value in snapshot.machine.persistent
                if each == name and value == "0"
            ]
            yield Finding(
                "ip-forward-off",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the host does not forward IPv{version}",
                ("host", *(net.name for net in nets)),
                (f"sysctl {dotted(name)} = 0", *again),
                "A container's packets reach its bridge, and the host drops them there, for it is"
                " no router. Published ports that the user-land proxy serves still work.",
                (remedies.setting(snapshot.host, name, "1"),),
            )


def off_for_link(snapshot: Snapshot) -> Iterator[Finding]:
    """Find forwarding that is off for a bridge or an uplink, as systemd-networkd sets it."""
    if snapshot.host.setting(FORWARD[4]) != "1":
        return
    nets = _routed(snapshot, 4)
    uplinks = {route.dev for route in snapshot.host.defaults(4)}
    for dev in sorted({net.link for net in nets} | (uplinks if nets else set())):
        name = f"net/ipv4/conf/{dev}/forwarding"
        if snapshot.host.setting(name) == "0":
            yield Finding(
                "link-forward-off",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the host forwards nothing that comes in by {dev}",
                ("host", *(net.name for net in nets if net.link == dev or dev in uplinks)),
                (f"sysctl {dotted(name)} = 0", "sysctl net.ipv4.ip_forward = 1"),
                "Forwarding is on for the host and off for this link: a change of the link's own"
                " setting came later. systemd-networkd makes one for links that it manages.",
                (remedies.setting(snapshot.host, name, "1"),),
            )


def not_accepted(snapshot: Snapshot) -> Iterator[Finding]:
    """Find uplinks that take no more router advertisements since the host forwards."""
    host = snapshot.host
    if host.setting(FORWARD[6]) != "1":
        return
    for route in host.defaults(6):
        name = f"net/ipv6/conf/{route.dev}/accept_ra"
        learnt = ("proto", RTPROT_RA) in zip(route.rest, route.rest[1:], strict=False)
        if learnt and host.setting(name) == "1":
            yield Finding(
                "accept-ra-off",
                Grade.LIKELY,
                Severity.WARNING,
                f"the host's IPv6 default route by {route.dev} will not be renewed",
                ("host",),
                (
                    f"ip -6 route: {route} proto ra",
                    f"sysctl {dotted(name)} = 1",
                    f"sysctl {dotted(FORWARD[6])} = 1",
                ),
                "A host that forwards IPv6 is a router, and takes no advertisements of others with"
                " accept_ra=1. The route ends with its lifetime, half an hour as a rule.",
                (remedies.setting(host, name, "2"),),
            )
