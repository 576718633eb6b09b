"""Balancing without IPVS, by nftables: one rule of a service looks a number up in a map.

    hook prerouting    services-DNAT   new, to the virtual address or a published port → vs-100
                       vs-100          dnat to numgen inc mod 3 map { 0 : 10.50.0.3, … }
    hook postrouting   services-SNAT   rewritten, to the network → the balancer's own address

The number counts up (`numgen inc`), is random, or a hash of the client's address (`jhash`). NAT
sees the first packet of a connection alone; connection tracking keeps the rest with its task.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.services.balancer import CHOSEN, MARKED, PUBLISHED, Served
from plumb.model.service.virtual import Balancing
from plumb.things import Thing
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable

TABLE = "plumb-services"
ICMP = {4: "icmp", 6: "ipv6-icmp"}


def family(served: Served) -> NftFamily:
    """The family of the service's table."""
    return NftFamily.V4 if served.version == 4 else NftFamily.V6


def chain(served: Served, name: str, kind: str, hook: str, priority: int) -> Iterator[Thing]:
    """Yield a base chain of the balancer, with its table."""
    yield NftTable(family(served), TABLE, served.ns)
    yield NftChain(family(served), TABLE, name, kind, hook, priority, "accept", served.ns)


def rule(served: Served, name: str, spec: str, why: str) -> NftRule:
    """A rule of the balancer."""
    return NftRule(family(served), TABLE, name, spec, why=why, ns=served.ns)


def things(served: Served, hook: str = "prerouting") -> Iterator[Thing]:
    """Yield a service by rules.

    Args:
        hook: by which connections come to the rules; "output" for those of the namespace itself.
    """
    yield from chain(served, "services-DNAT", "nat", hook, -100)
    yield from chain(served, "services-SNAT", "nat", "postrouting", 100)
    own, words = f"vs-{served.mark:x}", family(served)
    yield NftChain(words, TABLE, own, ns=served.ns)
    if served.slots:
        yield rule(served, own, f"counter dnat to {_choice(served)}", CHOSEN)
    for port in served.ports:
        match = f"{port.protocol} dport {port.published} counter jump {own}"
        yield rule(served, "services-DNAT", match, PUBLISHED)
    match = f"{words} daddr {served.vip} meta l4proto != {ICMP[served.version]} counter jump {own}"
    yield rule(served, "services-DNAT", match, MARKED)
    for subnet, source in served.returns():
        spec = f"{words} daddr {subnet} ct status dnat counter snat to {source}"
        yield rule(served, "services-SNAT", spec, served.here.why)


def _choice(served: Served) -> str:
    """The address of a task, as nft's words."""
    slots = served.slots
    if len(slots) == 1:
        return str(slots[0])
    number = {
        Balancing.SH: f"jhash {family(served)} saddr mod {len(slots)} seed {served.seed:#x}",
        Balancing.RANDOM: f"numgen random mod {len(slots)}",
    }.get(served.balancing, f"numgen inc mod {len(slots)}")
    return f"{number} map {{ {', '.join(f'{k} : {ip}' for k, ip in enumerate(slots))} }}"
