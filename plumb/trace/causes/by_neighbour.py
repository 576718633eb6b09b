"""Causes at neighbours: no reply for an address, or another's (ARP, RFC 826; ND, RFC 4861)."""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.model.netns_state import Facts, Link, Neighbour
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import within
from plumb.trace.headers import Direction

DEAD = ("FAILED", "INCOMPLETE")


def _next(case: Case) -> tuple[Facts, IPAddress, str]:
    """Namespace that had the packet last, the next hop, and the link to it."""
    facts = case.of(case.last.place if case.last else case.source)
    answer = facts.there if case.end.way is Direction.THERE else facts.back
    if answer is None or answer.error:
        return facts, case.goal, ""
    return facts, answer.via or case.goal, answer.dev


def _neighbour(facts: Facts, ip: IPAddress, dev: str) -> Neighbour | None:
    return next((each for each in facts.neighbours if each.ip == ip and each.dev == dev), None)


def duplicate_address(case: Case) -> Cause | None:
    """Find frames for an address that go to another MAC address than its holder's."""
    for crossing in case.story.crossings():
        packet = crossing.packet
        holder, mac = case.holder(packet.dst), packet.mac[1]
        whose = next(
            (member for member in case.members for end, _ in member.ends if end.mac == mac), None
        )
        if (
            holder is not None
            and whose is not None
            and whose is not holder[0]
            and mac != holder[1].mac
        ):
            return Cause(
                "duplicate-address",
                f"two have the address {packet.dst}, or had it: the frame goes to"
                f" {whose.box.name}'s MAC {mac}, {holder[0].box.name} has {holder[1].mac}",
                (
                    f"{crossing.place.name}:{crossing.dev}: to {mac}",
                    f"{holder[0].box.name}: {holder[1].ifname} {holder[1].mac}",
                ),
                ("give one of the two another address", f"ip neigh flush {packet.dst}, after that"),
            )
    return None


def no_neighbour(case: Case) -> Cause | None:
    """Find a next hop that does not answer for its address."""
    facts, ip, dev = _next(case)
    known = _neighbour(facts, ip, dev)
    if known is None or known.state not in DEAD:
        return None
    observed = (f"{facts.place.name}: ip neigh: {ip} dev {dev} {known.state}",)
    if (filtered := _rp_filter(case, facts, ip, dev)) is not None:
        return filtered
    link: Link | None = facts.link(dev)
    what = (
        f"nobody on {dev}"
        + ("" if link is None or link.carrier else " (no carrier)")
        + f" answers for {ip}"
    )
    net = case.network_of(ip)
    if case.holder(ip) is None and net is not None and net.bridge_in_host:
        return Cause(
            "target-gone",
            f"{what}: no running container has that address",
            observed,
            (
                "plumb ps shows who runs, and plumb repair mends what is left of others",
                "conntrack -D and the rule that leads there, if it is an old one",
            ),
        )
    return Cause(
        "no-neighbour",
        what,
        observed,
        (f"see that {ip} is up, and on the segment of {facts.place.name}:{dev}",),
    )


def _rp_filter(case: Case, facts: Facts, ip: IPAddress, dev: str) -> Cause | None:
    """Find a next hop that has the address, and does not answer for it because of rp_filter.

    With a strict rp_filter (RFC 3704) the kernel ignores ARP requests from an address that it would
    reply to by another link.
    """
    spot = case.wires.get((facts.place.name, dev))
    there = case.facts.get(spot[0]) if spot else None
    if spot is None or there is None or not there.has(ip):
        return None
    names = [f"net/ipv4/conf/{each}/rp_filter" for each in ("all", spot[1])]
    if max(map(there.setting, names)) != "1":
        return None
    return Cause(
        "rp-filter",
        f"{there.place.name} has {ip}, and does not even answer for its MAC address:"
        f" it would answer {facts.place.name} by another link than {spot[1]},"
        " and with a strict rp_filter does not believe it",
        tuple(f"{there.place.name}: {name} = {there.setting(name)}" for name in names),
        (
            within(there.place, f"sysctl -w net.ipv4.conf.{spot[1]}.rp_filter=2"),
            f"a route to {facts.place.name} by {spot[1]}",
        ),
        sure=False,
    )
