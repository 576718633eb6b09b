"""The client's own address, kept on its way through the ingress network.

`network create --ingress -o plumb.ingress.source=preserve` makes the balancer rewrite the
destination alone. The task sees the client, and its answer must come back to the balancer that has
rewritten: the one of the host that was asked, wherever the task is. Which one that was, the first
packet's MAC address tells, for each balancer's is 02:42 and its IPv4 address:

    192.0.2.1 ── h1:8080 ── ingress_sbox of h1, 10.0.0.2 ── VXLAN ── task on h2, 10.0.0.5
    task, mangle PREROUTING   new, from 02:42:0a:00:00:02 → mark of the connection 0x0a000002
    task, mangle OUTPUT       an answer gets its connection's mark
    task, ip rule             mark 0x0a000002 → table 0x0a000002: default via 10.0.0.2

So there is a rule and a table for every node of the cluster, and nothing to look up in between.
Clients that the host itself speaks for are seen as it: connections of IPv6, by its proxy, and its
own, which are masqueraded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from plumb.drivers.services.by_nftables import TABLE
from plumb.model.cnm import Endpoint
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.iptables import Family, Rule
from plumb.things.layer3 import Sysctl
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable
from plumb.things.policy_routing import RoutingRule, TableRoute

FROM_A_BALANCER = "the connection has come by this balancer, and its answers go back there"
ANSWERS = "an answer is routed by its connection's mark"


def task(
    end: Endpoint, balancers: Iterable[IPv4Address], ns: str, settings: Settings
) -> Iterator[Thing]:
    """Yield what leads a task's answers back.

    Args:
        end: its endpoint on the ingress network.
        balancers: addresses of the network's balancers on all hosts.
        ns: the task's namespace.
    """
    # What comes from a client is not from where the main table would send an answer.
    yield Sysctl(f"net/ipv4/conf/{end.ifname}/rp_filter", "2", ns, usual="0")
    yield from RULES[settings.firewall_backend](sorted(balancers), ns)
    for ip in sorted(balancers):
        yield TableRoute(int(ip), ip, end.ifname, ns)
        yield RoutingRule(int(ip), int(ip), ns)


def _iptables(balancers: Iterable[IPv4Address], ns: str) -> Iterator[Thing]:
    def rule(chain: str, spec: str, why: str) -> Rule:
        return Rule(Family.V4, "mangle", chain, spec, why=why, ns=ns)

    for ip in balancers:
        new = f"-m mac --mac-source {_mac(ip)} -m conntrack --ctstate NEW"
        mark = f"-j CONNMARK --set-xmark {int(ip):#x}/0xffffffff"
        yield rule("PREROUTING", f"{new} {mark}", FROM_A_BALANCER)
    restore = "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
    yield rule("OUTPUT", f"-m connmark ! --mark 0x0 {restore}", ANSWERS)


def _nftables(balancers: Iterable[IPv4Address], ns: str) -> Iterator[Thing]:
    family = NftFamily.V4

    def rule(chain: str, spec: str, why: str) -> NftRule:
        return NftRule(family, TABLE, chain, spec, why=why, ns=ns)

    yield NftTable(family, TABLE, ns)
    yield NftChain(family, TABLE, "source-PREROUTING", "filter", "prerouting", -150, "accept", ns)
    yield NftChain(family, TABLE, "source-OUTPUT", "route", "output", -150, "accept", ns)
    for ip in balancers:
        new = f"ether saddr {_mac(ip)} ct state new counter ct mark set {int(ip):#010x}"
        yield rule("source-PREROUTING", new, FROM_A_BALANCER)
    yield rule("source-OUTPUT", "counter meta mark set ct mark", ANSWERS)


def _mac(ip: IPv4Address) -> str:
    return "02:42:" + ip.packed.hex(":")


RULES = {"iptables": _iptables, "nftables": _nftables}
"""By the setting firewall-backend."""
