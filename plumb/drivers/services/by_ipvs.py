"""IPVS in a balancer: marks tell it whose a packet is, its scheduler which task's.

A packet to the virtual address is one of the balancer's own, so it comes to INPUT. There a rule
marks it, and IPVS, which hooks in behind that rule, takes it out again and sends it to a task.

    mangle PREROUTING    a published port: mark
    mangle INPUT         the virtual address: mark
    IPVS                 mark → a task; its address instead of the virtual one
    nat POSTROUTING      the balancer's address instead of the client's

IPVS forgets a TCP connection after 900 seconds without a packet, as long as the kernel's own
keepalive waits for 7200; here it remembers for longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.services.balancer import MARKED, PUBLISHED, RETURN_BY_BALANCER, Served
from plumb.drivers.services.by_nftables import chain as nft_chain
from plumb.drivers.services.by_nftables import rule as nft_rule
from plumb.model.service.virtual import Balancing
from plumb.things import Thing
from plumb.things.iptables import Family, Rule
from plumb.things.ipvs import Forward, IpvsDestination, IpvsService, IpvsTimeouts
from plumb.things.layer3 import Sysctl

SCHEDULERS = {Balancing.RR: "rr", Balancing.WRR: "wrr", Balancing.LC: "lc", Balancing.SH: "sh"}
"""IPVS has none that chooses at random."""
TCP_IDLE, FIN_WAIT, UDP_IDLE = 8100, 120, 300
"""Seconds for which a connection without a packet is known: keepalive's 7200 and a margin."""


def with_iptables(served: Served) -> Iterator[Thing]:
    """Yield a service by IPVS, its marks by iptables."""
    tool, ns = Family.V4 if served.version == 4 else Family.V6, served.ns
    mark = f"-j MARK --set-xmark {served.mark:#x}/0xffffffff"
    for port in served.ports:
        match = f"-p {port.protocol} -m {port.protocol} --dport {port.published}"
        yield Rule(tool, "mangle", "PREROUTING", f"{match} {mark}", why=PUBLISHED, ns=ns)
    if not served.here.net.overlay.direct_return:
        for subnet, own in served.returns():
            snat = f"-d {subnet} -m ipvs --ipvs -j SNAT --to-source {own}"
            yield Rule(tool, "nat", "POSTROUTING", snat, why=RETURN_BY_BALANCER, ns=ns)
    own = f"-d {served.vip}/{served.vip.max_prefixlen}"
    yield Rule(tool, "mangle", "INPUT", f"{own} {mark}", why=MARKED, ns=ns)
    yield from _ipvs(served)


def with_nftables(served: Served) -> Iterator[Thing]:
    """Yield a service by IPVS, its marks by nftables, which has no match for IPVS's packets."""
    family = "ip" if served.version == 4 else "ip6"
    mark = f"{served.mark:#010x}"
    yield from nft_chain(served, "services-PREROUTING", "filter", "prerouting", -150)
    yield from nft_chain(served, "services-INPUT", "filter", "input", -150)
    yield from nft_chain(served, "services-POSTROUTING", "nat", "postrouting", 100)
    for port in served.ports:
        match = f"{port.protocol} dport {port.published} counter meta mark set {mark}"
        yield nft_rule(served, "services-PREROUTING", match, PUBLISHED)
    if not served.here.net.overlay.direct_return:
        for subnet, own in served.returns():
            spec = f"{family} daddr {subnet} meta mark {mark} counter snat to {own}"
            yield nft_rule(served, "services-POSTROUTING", spec, RETURN_BY_BALANCER)
    spec = f"{family} daddr {served.vip} counter meta mark set {mark}"
    yield nft_rule(served, "services-INPUT", spec, MARKED)
    yield from _ipvs(served)


def _ipvs(served: Served) -> Iterator[Thing]:
    ns, version = served.ns, served.version
    forward = Forward.ROUTE if served.here.net.overlay.direct_return else Forward.MASQ
    if forward is Forward.MASQ:
        # NAT of the firewall sees IPVS's packets only if IPVS keeps conntrack's entries right.
        yield Sysctl("net/ipv4/vs/conntrack", "1", ns)
    yield IpvsTimeouts(TCP_IDLE, FIN_WAIT, UDP_IDLE, ns)
    yield IpvsService(served.mark, version, SCHEDULERS[served.balancing], ns)
    for ip, weight in served.backends:
        yield IpvsDestination(served.mark, ip, forward, weight, ns)
