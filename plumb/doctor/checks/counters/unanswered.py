"""Containers on a LAN that have sent, and to which nothing ever came."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice
from plumb.model.diagnosis.snapshot import ContainerState, NetworkState, Snapshot
from plumb.model.netns_state import Link

SENT_AGAIN = "TCPSynRetrans"
LEAST = 3
"""Packets that were sent again: an attempt makes more."""


def nothing_received(snapshot: Snapshot) -> Iterator[Finding]:
    """Find macvlan and ipvlan containers whose connections nobody has answered.

    A container on another network as well may have sent there.
    """
    for box, end, net in snapshot.ends():
        space = snapshot.space(box)
        link = space.link_with(end.ip.ip) if space is not None and end.ip is not None else None
        if space is None or link is None or not net.on_lan or len(box.ends) > 1:
            continue
        came = dict(space.received).get(link.name)
        if came == 0 and link.up and space.counter(SENT_AGAIN) >= LEAST:
            yield _nothing(snapshot, box, net, link, space.counter(SENT_AGAIN))


def _nothing(
    snapshot: Snapshot, box: ContainerState, net: NetworkState, link: Link, again: int
) -> Finding:
    return Finding(
        "nothing-received",
        Grade.HINT,
        Severity.WARNING,
        f"nothing ever came in by {link.name} of {box.name}, and nobody answers what it sends",
        (box.name, net.name),
        (
            f"{box.name}: /proc/net/dev: {link.name} has received 0 packets",
            f"{box.name}: nstat -az TcpExt{SENT_AGAIN}: {again}",
        ),
        "The other machines do not know the way back, or the switch or hypervisor does not let the"
        " container's frames through. Neither is seen from this host.",
        tuple(_advice(snapshot, net, link)),
    )


def _advice(snapshot: Snapshot, net: NetworkState, link: Link) -> Iterator[Advice]:
    if link.mode.startswith("l3"):
        own = (ip.ip for dev, ip in snapshot.host.addresses if dev == net.parent)
        router = next((str(ip) for ip in own if ip.version == 4), "ADDRESS_OF_THIS_HOST")
        yield from (
            f"on the LAN's router: ip route add {subnet} via {router}" for subnet in net.subnets
        )
    elif net.own_mac:
        yield "let the hypervisor or switch take other MACs at this port (promiscuous mode)"
        yield f"{remedies.words_of(net.engine)} network create -d ipvlan …, with the parent's MAC"
    yield f"tcpdump -ni {quote(net.parent)}, while it sends: do its packets leave, do answers come?"
