"""IPv6 of the host: routes that its router advertises."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import Snapshot
from plumb.things.layer3 import dotted

RTPROT_RA = "9"
FORWARD = "net/ipv6/conf/all/forwarding"


def not_accepted(snapshot: Snapshot) -> Iterator[Finding]:
    """Find uplinks that take no more router advertisements since the host forwards."""
    host = snapshot.host
    if host.setting(FORWARD) != "1":
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
                    f"sysctl {dotted(FORWARD)} = 1",
                ),
                "A host that forwards IPv6 is a router, and takes no advertisements of others with"
                " accept_ra=1. The route ends with its lifetime, half an hour as a rule.",
                (remedies.setting(host, name, "2"),),
            )
