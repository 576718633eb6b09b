"""Causes in NAT: the packet was rewritten wrongly, or not rewritten."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.netns_state import ConntrackEntry
from plumb.model.observations import HOST
from plumb.things.host_ports import at
from plumb.things.layer3 import dotted
from plumb.trace.causes import owners
from plumb.trace.causes.case import VANISHED, Case, Cause
from plumb.trace.causes.remedies import deleting
from plumb.trace.headers import Direction
from plumb.trace.path import Ending


def find(case: Case) -> Cause | None:
    """Find a cause in NAT that was observed."""
    return (
        _wrong_destination(case) or _localnet(case) or _loopback_source(case) or _own_source(case)
    )


def likely(case: Case) -> Cause | None:
    """Find a packet that left the host with a container's address, to which no reply is routed."""
    last = case.last
    if (
        last is None
        or case.end.way is not Direction.THERE
        or case.end.ending not in (*VANISHED, Ending.SILENT)
    ):
        return None
    return None if case.network_of(last.packet.dst) is not None else unmasked(case)


def unmasked(case: Case, *observed: str) -> Cause | None:
    """Find a container's packet that left the host with the container's own address.

    Args:
        observed: evidence about the reply, where there was one; without it, the cause is only
            probable, since the other end may have no route to that address.
    """
    outside = [
        each for each in case.story.crossings() if each.place.name == HOST and not each.inbound
    ]
    holder = case.holder(outside[-1].packet.src) if outside else None
    link = case.host.link(outside[-1].dev) if outside else None
    bridged = link is not None and link.port is not None
    if (
        holder is None
        or not holder[2].bridge_in_host
        or bridged
        or outside[-1].dev == holder[2].link
    ):
        return None
    box, net, packet, dev = holder[0].box, holder[2], outside[-1].packet, outside[-1].dev
    pool = net.pool_of(packet.src)
    known = (
        "so the answer comes to that address, which the raw PREROUTING rule forbids"
        if observed
        else "which nobody outside has a route to"
    )
    return Cause(
        "no-masquerade",
        f"it left this host by {dev} with {box.name}'s own address {packet.src}:"
        f" no rule gave it the host's, {known}",
        (f"{HOST}:{dev}: {packet.ends}", "no source was rewritten", *observed),
        (
            f"if the network should masquerade: {owners.rebuild(case, net)}",
            (
                f"iptables -w -t nat -A POSTROUTING -s {pool.subnet if pool else packet.src}"
                f" ! -o {net.link} -j MASQUERADE"
            ),
            *((f"a route to {net.name}'s subnet at the other end",) if not observed else ()),
        ),
        sure=bool(observed),
    )


def remarks(case: Case) -> Iterator[str]:
    """Conntrack entries that lead a published port's older clients to another address."""
    if case.published is None or case.protocol != "udp":
        return
    target = case.published.end.target(case.published.port)
    for entry in case.host.tracked:
        if _led_elsewhere(entry, case) and entry.reply.src != target:
            mended = f"conntrack -D -p udp --orig-port-dst {case.port} ends that"
            yield f"an older client is still led to {entry.reply.src}: {entry.way} ({mended})"


def _led_elsewhere(entry: ConntrackEntry, case: Case) -> bool:
    return (
        entry.protocol == case.protocol
        and entry.way.dport == case.port
        and entry.reply.src != entry.way.dst
    )


# -- observed -----------------------------------------------------------------


def _wrong_destination(case: Case) -> Cause | None:
    """Find a destination rewritten to another address or port than the published one."""
    changes = case.story.rewritten("destination", HOST)
    published = case.published
    if not changes or published is None:
        return None
    wanted = at(published.end.target(published.port), published.port.port)
    found = changes[0].now
    if wanted == found:
        return None
    line = next(
        (line for line in case.story.lines() if line.place.name == HOST and line.rewrites), None
    )
    if line is None:
        entries = [
            f"conntrack: {entry.way}, answered from {entry.reply.src}"
            for entry in case.host.tracked
            if _led_elsewhere(entry, case)
        ]
        return Cause(
            "stale-conntrack",
            f"connection tracking still leads this client to {found}, where the port led when its"
            f" flow began; now it is {published.member.box.name}'s {wanted}",
            tuple(entries[:4]),
            (f"conntrack -D -p {case.protocol} --orig-port-dst {case.port}",),
        )
    if line.mine:
        return None
    engine = owners.words(case, published.net).engine
    return Cause(
        "wrong-dnat",
        f"a rule that is not {engine}'s leads port {case.port} to {found},"
        f" before {engine}'s own leads it to {published.member.box.name}'s {wanted}",
        (f"{HOST}: {line.named}: {line.text}",),
        (deleting(line),),
    )


def _localnet(case: Case) -> Cause | None:
    """Find a packet of the host's to 127.0.0.1 that, once rewritten, may not leave by the bridge.

    Without the bridge's route_localnet the kernel sends no packet from 127.0.0.0/8 by it.
    """
    published = case.published
    if (
        published is None
        or not case.ip.is_loopback
        or case.end.ending not in (Ending.UNSENT, Ending.DROPPED)
        or case.end.line is not None
    ):
        return None
    name = f"net/ipv4/conf/{published.net.link}/route_localnet"
    if (
        case.host.setting(name) != "0"
        or case.host.setting("net/ipv4/conf/all/route_localnet") == "1"
    ):
        return None
    return Cause(
        "route-localnet",
        f"it was rewritten to {published.member.box.name},"
        f" but what comes from 127.0.0.1 may not leave by {published.net.link}",
        (f"{HOST}: {name} = 0",),
        (f"sysctl -w {dotted(name)}=1", owners.rebuild(case, published.net)),
    )


def _loopback_source(case: Case) -> Cause | None:
    """Find a packet from 127.0.0.1 on a link other than lo, which the kernel drops as a martian.

    Often the host sends no such packet: the container answers no ARP request from 127.0.0.1.
    """
    packet, last, published = case.packet, case.last, case.published
    bridge = published.net.link if published else "BRIDGE"
    remedies = (
        owners.rebuild(case, published.net if published else None),
        f"iptables -w -t nat -A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE",
    )
    if packet is not None and last is not None:
        if not packet.src.is_loopback or last.dev == "lo" or case.end.way is not Direction.THERE:
            return None
        return Cause(
            "loopback-source",
            f"it came to {last.place.name} from {packet.src}, which {last.place.name} takes for"
            " its own address: its source was not rewritten",
            (f"{last.place.name}:{last.dev}: {packet.ends}",),
            remedies,
        )
    masked = any(line.hook == "postrouting" for line in case.story.lines())
    if (
        published is None
        or not case.ip.is_loopback
        or masked
        or not any(line.rewrites for line in case.story.lines())
    ):
        return None
    return Cause(
        "loopback-source",
        f"it was rewritten to {published.member.box.name}, but no rule gave it another source than"
        " 127.0.0.1, which no neighbour answers",
        (f"{HOST}: no rule of postrouting fitted",),
        remedies,
    )


def _own_source(case: Case) -> Cause | None:
    """Find a container's packet that came back to the container with its own address as source."""
    packet, last = case.packet, case.last
    if (
        packet is None
        or last is None
        or not last.inbound
        or case.end.ending is Ending.REFUSED
        or packet.src.is_loopback
        or packet.about is not None  # the host's own ICMP error to itself, by lo
        or last.dev == "lo"
    ):
        return None
    if packet.src != packet.dst or not case.of(last.place).has(packet.src):
        return None
    return Cause(
        "own-source",
        f"it came back to {last.place.name} with its own address as the source,"
        f" and {last.place.name} takes nothing from itself by {last.dev}",
        (f"{last.place.name}:{last.dev}: {packet.ends}",),
        (
            owners.rebuild(case, case.network_of(packet.src)),
            f"iptables -w -t nat -A POSTROUTING -s {packet.src} -d {packet.src} -j MASQUERADE",
        ),
    )
