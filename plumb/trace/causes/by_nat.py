"""It was rewritten wrongly, or should have been: NAT's faults."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.netns_state import ConntrackEntry
from plumb.model.observations import HOST
from plumb.things.host_ports import at
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import deleting
from plumb.trace.headers import Direction
from plumb.trace.path import Ending


def find(case: Case) -> Cause | None:
    """The cause where NAT was seen to be at fault."""
    return _astray(case) or _localnet(case) or _loopback_source(case) or _own_source(case)


def likely(case: Case) -> Cause | None:
    """The cause where it left this host with an address that nobody outside knows."""
    last = case.last
    if (
        last is None
        or case.end.way is not Direction.THERE
        or case.end.ending not in (Ending.LOST, Ending.SILENT, Ending.DROPPED)
    ):
        return None
    return None if case.network_of(last.packet.dst) is not None else unmasked(case)


def unmasked(case: Case, *seen: str) -> Cause | None:
    """A container's question went outside with its own address.

    Args:
        seen: what became of the answer, where there was one; without, it is only likely that nobody
        could send any.
    """
    outside = [
        each for each in case.story.crossings() if each.place.name == HOST and not each.inbound
    ]
    holder = case.holder(outside[-1].packet.src) if outside else None
    if holder is None or not holder[2].bridge_in_host or outside[-1].dev == holder[2].link:
        return None
    box, net, packet, dev = holder[0].box, holder[2], outside[-1].packet, outside[-1].dev
    pool = net.pool_of(packet.src)
    known = (
        "so the answer comes to that address, which the raw PREROUTING rule forbids"
        if seen
        else "which nobody outside has a route to"
    )
    return Cause(
        "no-masquerade",
        f"it left this host by {dev} with {box.name}'s own address {packet.src}: no rule gave it the host's, {known}",
        (f"{HOST}:{dev}: {packet.ends}", "no source was rewritten", *seen),
        (
            "plumb repair, if the network should masquerade",
            f"iptables -t nat -A POSTROUTING -s {pool.subnet if pool else packet.src} ! -o {net.link} -j MASQUERADE",
            *((f"a route to {net.name}'s subnet at the other end",) if not seen else ()),
        ),
        sure=bool(seen),
    )


def remarks(case: Case) -> Iterator[str]:
    """Entries of connection tracking that lead a published port's older clients elsewhere."""
    if case.published is None or case.protocol != "udp":
        return
    target = case.published.end.target(case.published.port)
    for entry in case.host.tracked:
        if _led_astray(entry, case) and entry.reply.src != target:
            mended = f"conntrack -D -p udp --orig-port-dst {case.port} ends that"
            yield f"an older client is still led to {entry.reply.src}: {entry.way} ({mended})"


def _led_astray(entry: ConntrackEntry, case: Case) -> bool:
    return (
        entry.protocol == case.protocol
        and entry.way.dport == case.port
        and entry.reply.src != entry.way.dst
    )


# -- what was seen -----------------------------------------------------------------


def _astray(case: Case) -> Cause | None:
    """A published port was rewritten to something else than what is published there."""
    changes = case.story.rewritten("destination", HOST)
    hole = case.published
    if not changes or hole is None:
        return None
    wanted, found = at(hole.end.target(hole.port), hole.port.port), changes[0].now
    if wanted == found:
        return None
    line = next(
        (line for line in case.story.lines() if line.place.name == HOST and line.rewrites), None
    )
    if line is None:
        seen = [
            f"conntrack: {entry.way}, answered from {entry.reply.src}"
            for entry in case.host.tracked
            if _led_astray(entry, case)
        ]
        return Cause(
            "stale-conntrack",
            f"connection tracking still leads this client to {found}, where the port led when its flow began; now it is "
            f"{hole.member.box.name}'s {wanted}",
            tuple(seen[:4]),
            (f"conntrack -D -p {case.protocol} --orig-port-dst {case.port}",),
        )
    if line.mine:
        return None
    return Cause(
        "wrong-dnat",
        f"a rule that is not plumb's leads port {case.port} to {found}, before plumb's own leads it to {hole.member.box.name}'s "
        f"{wanted}",
        (f"{HOST}: {line.named}: {line.text}",),
        (deleting(line),),
    )


def _localnet(case: Case) -> Cause | None:
    """The host's own question to 127.0.0.1 was rewritten to a container's address, and may not leave by its bridge."""
    hole = case.published
    if (
        hole is None
        or not case.ip.is_loopback
        or case.end.ending not in (Ending.UNSENT, Ending.DROPPED)
        or case.end.line is not None
    ):
        return None
    name = f"net/ipv4/conf/{hole.net.link}/route_localnet"
    if (
        case.host.setting(name) != "0"
        or case.host.setting("net/ipv4/conf/all/route_localnet") == "1"
    ):
        return None
    return Cause(
        "route-localnet",
        f"it was rewritten to {hole.member.box.name}, but what comes from 127.0.0.1 may not leave by {hole.net.link}",
        (f"{HOST}: {name} = 0",),
        (f"sysctl -w {name.replace('/', '.')}=1", "plumb repair"),
    )


def _loopback_source(case: Case) -> Cause | None:
    """A packet from 127.0.0.1 came by a cable, where it is a martian.

    Or would have, if anybody told 127.0.0.1 a MAC address.
    """
    packet, last, hole = case.packet, case.last, case.published
    bridge = hole.net.link if hole else "BRIDGE"
    remedies = (
        "plumb repair",
        f"iptables -t nat -A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE",
    )
    if packet is not None and last is not None:
        if not packet.src.is_loopback or last.dev == "lo" or case.end.way is not Direction.THERE:
            return None
        return Cause(
            "loopback-source",
            f"it came to {last.place.name} from {packet.src}, whom {last.place.name} takes for itself: its source "
            "was not rewritten",
            (f"{last.place.name}:{last.dev}: {packet.ends}",),
            remedies,
        )
    masked = any(line.hook == "postrouting" for line in case.story.lines())
    if (
        hole is None
        or not case.ip.is_loopback
        or masked
        or not any(line.rewrites for line in case.story.lines())
    ):
        return None
    return Cause(
        "loopback-source",
        f"it was rewritten to {hole.member.box.name}, but no rule gave it another source than 127.0.0.1, which nobody "
        "answers on a cable",
        (f"{HOST}: no rule of postrouting fitted",),
        remedies,
    )


def _own_source(case: Case) -> Cause | None:
    """A container's question came back to itself with its own source."""
    packet, last = case.packet, case.last
    if (
        packet is None
        or last is None
        or not last.inbound
        or case.end.ending is Ending.REFUSED
        or packet.src.is_loopback
    ):
        return None
    if packet.src != packet.dst or not case.of(last.place).has(packet.src):
        return None
    return Cause(
        "own-source",
        f"it came back to {last.place.name} with its own address as the source, and it takes nothing from itself by a cable",
        (f"{last.place.name}:{last.dev}: {packet.ends}",),
        (
            "plumb repair",
            f"iptables -t nat -A POSTROUTING -s {packet.src} -d {packet.src} -j MASQUERADE",
        ),
    )
