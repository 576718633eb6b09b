"""MTUs: a link that carries less than the container believes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Argv, command
from plumb.model.diagnosis.snapshot import Snapshot

CLAMPS = re.compile("TCPMSS|maxseg")
"""Rules that tell both ends of a TCP connection to send less."""
CLAMPING = (
    *("mangle", "FORWARD", "-p", "tcp", "--tcp-flags", "SYN,RST", "SYN"),
    *("-j", "TCPMSS", "--clamp-mss-to-pmtu"),
)


def above_uplink(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose packets are too large for the host's uplink."""
    host = snapshot.host
    uplinks = [link for route in host.defaults(4) if (link := host.link(route.dev)) is not None]
    if any(CLAMPS.search(rule.words) for chain in host.chains for rule in chain.rules):
        return
    least = min(uplinks, key=lambda link: link.mtu, default=None)
    for net in snapshot.bridges:
        if net.internal or least is None:
            continue
        sizes = {
            link.mtu
            for box, end, other in snapshot.ends()
            if other.id == net.id
            and end.ip is not None
            and (space := snapshot.space(box)) is not None
            and (link := space.link_with(end.ip.ip)) is not None
        }
        if sizes and max(sizes) > least.mtu:
            yield Finding(
                "mtu-above-uplink",
                Grade.LIKELY,
                Severity.WARNING,
                f"containers of {net.name} send {max(sizes)} bytes, and {least.name} takes"
                f" {least.mtu}",
                (net.name,),
                (f"{net.name}: MTU {max(sizes)}", f"ip link show {least.name}: MTU {least.mtu}"),
                "Large packets need the ICMP error that tells their sender; where a firewall drops"
                " it, connections open and then hang. VPNs and clouds have small MTUs.",
                (
                    (
                        f"{remedies.words_of(net.engine)} network create"
                        f" -o com.docker.network.driver.mtu={least.mtu} …"
                    ),
                    remedies.iptables("iptables", *CLAMPING),
                ),
            )


def of_pair(snapshot: Snapshot) -> Iterator[Finding]:
    """Find veth pairs whose ends have different MTUs."""
    spaces = {space.name: space for space in snapshot.spaces}
    for outer, name, inner in snapshot.host.peers:
        space = spaces.get(name)
        mine, other = snapshot.host.link(outer), space.link(inner) if space else None
        if mine is not None and other is not None and mine.mtu != other.mtu:
            most = max(mine.mtu, other.mtu)
            engine = next((box.engine for box in snapshot.containers if box.place == name), "")
            yield Finding(
                "veth-mtu",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"the ends of {name}'s link {inner} have the MTUs {other.mtu} and {mine.mtu}",
                (name,),
                (f"host: {outer} mtu {mine.mtu}", f"{name}: {inner} mtu {other.mtu}"),
                "A veth's end drops what is larger than its own MTU, without an ICMP error and"
                " without a counter of IP's. Both ends need one MTU.",
                (
                    command(_mtu(outer, most), _mtu(outer, mine.mtu))
                    if mine.mtu < most
                    else remedies.inside(
                        engine, name, name, _mtu(inner, most), _mtu(inner, other.mtu)
                    ),
                ),
            )


def _mtu(link: str, most: int) -> Argv:
    """The words that set a link's MTU."""
    return ("ip", "link", "set", link, "mtu", str(most))
