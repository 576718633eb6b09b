"""Causes in size and time to live: too large for a link, or past too many routers."""

from __future__ import annotations

from plumb.model.netns_state import Link
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import within
from plumb.trace.path import Ending

TOO_BIG = ("fragmentation needed", "packet too big")
EXPIRED = ("time to live exceeded", "hop limit exceeded")


def find(case: Case) -> Cause | None:
    """Find a cause in the packet's size or its time to live."""
    end = case.end
    if end.ending is Ending.REJECTED and end.error in TOO_BIG:
        mtu = end.packet.mtu if end.packet else 0
        return Cause(
            "mtu",
            f"the packet is larger than the next link's MTU of {mtu},"
            " and must not be cut into fragments",
            (f"ICMP from {end.place.name if end.place else '?'}: {end.error}, MTU {mtu}",),
            (
                f"networks with -o com.docker.network.driver.mtu={mtu}",
                (
                    "for TCP: iptables -w -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN"
                    " -j TCPMSS --clamp-mss-to-pmtu"
                ),
            ),
        )
    if end.ending is Ending.REJECTED and end.error in EXPIRED:
        return Cause(
            "ttl",
            "it had passed as many routers as its time to live allowed:"
            " too small a --ttl, or a loop of routes",
            (f"ICMP from {end.place.name if end.place else '?'}: {end.error}",),
            ("a larger --ttl", "look for two routers that send it to each other"),
        )
    if end.ending is Ending.UNSENT and end.error == "EMSGSIZE":
        sizes = ", ".join(
            f"{link.name} {link.mtu}" for link in case.of(case.source).links if link.name != "lo"
        )
        return Cause(
            "mtu",
            f"{case.source.name} does not send a packet that is larger than its own link's MTU",
            (f"MTU: {sizes}",),
            ("a smaller --size",),
        )
    return _veth_mtu(case) or _silent_router(case)


def _veth_mtu(case: Case) -> Cause | None:
    """Find a veth pair of two MTUs, and a packet larger than the receiving end's.

    The kernel drops such a frame, and reports no error to the sender.
    """
    last = case.last
    if last is None or last.inbound or not case.gone:
        return None
    facts, spot = case.of(last.place), case.wires.get((last.place.name, last.dev))
    here = facts.link(last.dev)
    far = _link(case, *spot) if spot else facts.far.get(last.dev)
    if here is None or far is None or far.mtu >= here.mtu or last.packet.length <= far.mtu:
        return None
    there = ":".join(spot) if spot else f"{far.name}, the other end of {here.name},"
    larger = f"ip link set {far.name} mtu {here.mtu}"
    return Cause(
        "veth-mtu",
        f"{there} takes {far.mtu} bytes, its veth peer sends up to {here.mtu}:"
        " what is larger is lost without an error",
        (
            (
                f"MTU: {last.place.name}:{here.name} {here.mtu}, {there} {far.mtu};"
                f" the packet has {last.packet.length} bytes"
            ),
        ),
        (
            within(far.place, larger) if spot else f"{larger}    # in the namespace that has it",
            f"smaller packets: {within(last.place, f'ip link set {here.name} mtu {far.mtu}')}",
        ),
    )


def _link(case: Case, place: str, name: str) -> Link | None:
    facts = case.facts.get(place)
    return facts.link(name) if facts else None


def _silent_router(case: Case) -> Cause | None:
    """Find a router that received the packet with a time to live of 1, and sent no ICMP error."""
    last = case.last
    if (
        last is None
        or not last.inbound
        or last.packet.ttl > 1
        or not case.gone
        or case.of(last.place).has(last.packet.dst)
    ):
        return None
    return Cause(
        "ttl",
        f"it came to {last.place.name} with a time to live of {last.packet.ttl},"
        " so it is not passed on",
        (f"{last.place.name}:{last.dev}: time to live {last.packet.ttl}",),
        ("a larger --ttl", "look for two routers that send it to each other"),
    )
