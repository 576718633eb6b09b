"""Evidence: what a finding concludes from something that is not there.

A socket that is not listed is none only where sockets could be read. Findings of that kind are left
out where their part could not be: `not-read` says so instead.
"""

from __future__ import annotations

from collections.abc import Iterable

from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.snapshot import (
    ADDRESSES,
    FIREWALL,
    LINKS,
    POLICY,
    ROUTES,
    SOCKETS,
    Snapshot,
)

ON_HOST = {
    "bridge-missing": (LINKS,),
    "parent-down": (LINKS,),
    "route-elsewhere": (ROUTES, POLICY),
    "no-masquerade": (FIREWALL,),
    "mtu-above-uplink": (FIREWALL,),
    "rules-flushed": (FIREWALL,),
    "ufw-bypassed": (FIREWALL,),
    "no-localhost": (SOCKETS,),
    "hairpin-off": (SOCKETS,),
    "port-not-rewritten": (FIREWALL, SOCKETS),
    "port-held": (FIREWALL, SOCKETS),
    "port-in-use": (SOCKETS,),
    "overlay-port-silent": (SOCKETS,),
    "tunnel-no-route": (ROUTES, POLICY),
    "tunnel-end-gone": (ADDRESSES,),
    "packets-invalid": (FIREWALL,),
}
"""Parts of the host's namespace in which a finding misses something, by its id."""
IN_CONTAINER = {
    "address-missing": (LINKS, ADDRESSES),
    "no-default-route": (ROUTES,),
    "wrong-gateway": (ROUTES,),
    "nobody-listens": (SOCKETS, FIREWALL),
    "listens-on-loopback": (SOCKETS, FIREWALL),
    "embedded-dns-silent": (SOCKETS,),
    "dns-loopback": (SOCKETS,),
    "dns-no-route": (ROUTES, POLICY),
}
"""The same of the container that the finding is about."""


def founded(snapshot: Snapshot, found: Iterable[Finding]) -> list[Finding]:
    """Leave out findings about what is missing in a part that could not be read."""
    places = {box.name: snapshot.space(box) for box in snapshot.containers}
    kept = []
    for each in found:
        space = places.get(each.about[0])
        inside = IN_CONTAINER.get(each.id, ()) if space is not None else ()
        lost = [part for part in ON_HOST.get(each.id, ()) if snapshot.host.lacks(part)]
        lost += [part for part in inside if space is not None and space.lacks(part)]
        if not lost:
            kept.append(each)
    return kept
