"""The bridge networks' firewall in nftables (`firewall-backend: nftables`), in Docker's layout.

iptables' chains are shared by all, and a packet passes the rules of every network until one fits.
Here a table of plumb's own, `plumb-bridges`, hooks in beside them, and a look-up by the name of the
bridge leads a packet to the chains of its network, and past those of all others:

    hook forward       filter-FORWARD ──┬─ out through BR: filter-forward-in__BR
                                        │      an answer to something let through: pass
                                        │      from BR itself: as icc says
                                        │      a published port: pass
                                        │      anything else: drop
                                        └─ in from BR:     filter-forward-out__BR
                                               pass

    hook prerouting    nat-PREROUTING ──┐
    hook output        nat-OUTPUT ──────┴─ to an address of this host: nat-prerouting-and-output
                                               published ports are rewritten to a container
    hook postrouting   nat-POSTROUTING ─┬─ in from BR:     nat-postrouting-out__BR
                                        │      the source becomes the host's address
                                        └─ out through BR: nat-postrouting-in__BR
                                               what must come back through the host
    hook prerouting    raw-PREROUTING      straight to a container's address, not through its
                                               bridge: drop

Each look-up is one rule over a map from link names to chains, the same for one network and for a
thousand. A packet from network A to network B meets the drop rule of B first; networks are parted
from each other without a rule for every pair. raw-PREROUTING hooks in before connection tracking
and NAT: what it drops is what was addressed to the container from the start, not what a published
port was rewritten to.

Every base chain of a hook has a say, in the order of their priorities: "accept" ends the walk
through that one only, "drop" is the end of the packet. So there is no PLUMB-USER here:
administrators put rules of their own into a base chain of their own, with a lower priority number
than `filter` to come first, and can only take away from what plumb allows.

For the same reason plumb does not enable forwarding here: the drop policy that protects the rest of
the host would drop everybody else's packets too. So the host must forward already, with a firewall
that its administrator has thought about (Docker's rule).

Names are Docker's, with plumb for docker.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.address import IPNetwork
from plumb.drivers import published_ports, rule_reasons
from plumb.model.cnm import Endpoint, Linked, Network
from plumb.model.driver_options import GatewayMode
from plumb.model.ports import Port
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.host_ports import at
from plumb.things.nftables import NftChain, NftElement, NftFamily, NftMap, NftRule, NftTable

TABLE = "plumb-bridges"
FAMILY = {4: NftFamily.V4, 6: NftFamily.V6}
WAYS = ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out")
"""A network's chains, each followed by __BR; the map WAY-jumps leads there."""
LOOPBACK = {4: "127.0.0.0/8", 6: "::1"}
ICMP = {4: "ip protocol icmp", 6: "meta l4proto ipv6-icmp"}
ANSWERS = "ct state established,related counter accept"
DROP_UNPUBLISHED = 'counter drop comment "UNPUBLISHED PORT DROP"'
ACCEPT_ALL = 'counter accept comment "UNPROTECTED"'


def rule(version: int, chain: str, spec: str, why: str, before: str = "") -> NftRule:
    """A rule of plumb's table, at its chain's tail or before another."""
    return NftRule(FAMILY[version], TABLE, chain, spec, before=before, why=why)


def host(settings: Settings) -> Iterator[Thing]:
    """Tables, base chains and maps to each network's own chains: shared by all bridge networks."""
    for version in (4, 6):
        if settings.firewall(version):
            yield from _host(version, settings)


def _host(version: int, settings: Settings) -> Iterator[Thing]:
    family = FAMILY[version]
    yield NftTable(family, TABLE)
    for way in WAYS:
        yield NftMap(family, TABLE, f"{way}-jumps")
    yield NftChain(family, TABLE, "filter-FORWARD", "filter", "forward", 0, "accept")
    yield NftChain(family, TABLE, "nat-POSTROUTING", "nat", "postrouting", 100, "accept")
    yield NftChain(family, TABLE, "nat-prerouting-and-output")
    yield NftChain(family, TABLE, "nat-PREROUTING", "nat", "prerouting", -100, "accept")
    yield NftChain(family, TABLE, "nat-OUTPUT", "nat", "output", -100, "accept")
    yield NftChain(family, TABLE, "raw-PREROUTING", "filter", "prerouting", -300, "accept")

    yield rule(
        version,
        "filter-FORWARD",
        "oifname vmap @filter-forward-in-jumps",
        "towards containers: only what their network lets in",
    )
    yield rule(
        version,
        "filter-FORWARD",
        "iifname vmap @filter-forward-out-jumps",
        "from containers: as their network says",
    )
    yield rule(
        version,
        "nat-POSTROUTING",
        "iifname vmap @nat-postrouting-out-jumps",
        "what leaves a network needs another source",
    )
    yield rule(
        version,
        "nat-POSTROUTING",
        "oifname vmap @nat-postrouting-in-jumps",
        "and so may what enters one",
    )
    local = "fib daddr type local counter jump nat-prerouting-and-output"
    yield rule(version, "nat-PREROUTING", local, rule_reasons.FROM_OUTSIDE)
    loopback = f"{family} daddr != {LOOPBACK[version]} " if settings.userland_proxy else ""
    yield rule(version, "nat-OUTPUT", loopback + local, rule_reasons.FROM_THIS_HOST)


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """The chains of one bridge network, for each of its address families."""
    for pool in net.pools:
        version = pool.subnet.version
        if not settings.firewall(version):
            continue
        for way in WAYS:
            yield NftChain(FAMILY[version], TABLE, f"{way}__{net.link}")
        answers = "what belongs to a connection that was let through passes"
        yield rule(version, f"filter-forward-in__{net.link}", ANSWERS, answers)
        yield rule(version, f"filter-forward-out__{net.link}", ANSWERS, answers)
        yield from (
            _internal(net, version) if net.internal else _connected(net, pool.subnet, settings)
        )
        for way in WAYS:
            yield NftElement(FAMILY[version], TABLE, f"{way}-jumps", net.link, f"{way}__{net.link}")


def _internal(net: Network, version: int) -> Iterator[Thing]:
    """An internal network.

    Its containers reach each other and the host's own address, nothing else.
    """
    br = net.link
    yield rule(
        version,
        f"filter-forward-in__{br}",
        f'iifname != "{br}" counter drop comment "INTERNAL NETWORK INGRESS"',
        rule_reasons.internal_ingress(net),
    )
    yield rule(
        version,
        f"filter-forward-out__{br}",
        f'oifname != "{br}" counter drop comment "INTERNAL NETWORK EGRESS"',
        rule_reasons.internal_egress(net),
    )
    yield rule(
        version,
        f"filter-forward-in__{br}",
        f'counter {_icc(net)} comment "ICC"',
        rule_reasons.between_containers(net),
    )


def _connected(net: Network, subnet: IPNetwork, settings: Settings) -> Iterator[Thing]:
    """A network that leads outside, as its gateway mode says."""
    version, br, mode = subnet.version, net.link, net.bridge.mode(subnet.version)
    inwards, outwards = f"filter-forward-in__{br}", f"filter-forward-out__{br}"
    icc = _icc_rule(net)
    if mode is GatewayMode.ROUTED:
        yield rule(
            version,
            inwards,
            f'{ICMP[version]} counter accept comment "ICMP"',
            rule_reasons.ICMP_OF_ROUTED,
        )
    yield rule(version, inwards, icc, rule_reasons.between_containers(net))
    if settings.bridge_accept_fwmark:
        yield rule(
            version,
            inwards,
            f'{_mark(settings.bridge_accept_fwmark)} counter accept comment "ALLOW FW MARK"',
            rule_reasons.ACCEPTED_MARK,
            before=icc,
        )
    yield rule(
        version,
        inwards,
        _last(net, version),
        rule_reasons.UNPROTECTED
        if mode is GatewayMode.NAT_UNPROTECTED
        else rule_reasons.UNPUBLISHED,
    )
    yield rule(version, outwards, 'counter accept comment "OUTGOING"', rule_reasons.OUTGOING)

    address = net.bridge.host_ipv4 if version == 4 else net.bridge.host_ipv6
    target, comment = (f"snat to {address}", "SNAT") if address else ("masquerade", "MASQUERADE")
    if net.bridge.masquerade and mode is not GatewayMode.ROUTED:
        yield rule(
            version,
            f"nat-postrouting-out__{br}",
            (
                f'oifname != "{br}" {FAMILY[version]} saddr {subnet}'
                f' counter {target} comment "{comment}"'
            ),
            rule_reasons.masquerade(str(subnet)),
        )
    if not settings.userland_proxy:
        yield rule(
            version,
            f"nat-postrouting-in__{br}",
            f'fib saddr type local counter {target} comment "{comment} FROM HOST"',
            rule_reasons.LOCAL_SOURCE,
        )


def _last(net: Network, version: int) -> str:
    """The rule that ends the chain into a network.

    All that came that far is neither an answer nor published.
    """
    return (
        ACCEPT_ALL if net.bridge.mode(version) is GatewayMode.NAT_UNPROTECTED else DROP_UNPUBLISHED
    )


def _icc(net: Network) -> str:
    return "accept" if net.bridge.icc else "drop"


def _icc_rule(net: Network) -> str:
    return f'iifname "{net.link}" counter {_icc(net)} comment "ICC"'


def _mark(setting: str) -> str:
    """A firewall mark, with or without a mask, as nft prints it: 32 bits in hex."""
    mark, *mask = (f"0x{int(word, 0):08x}" for word in setting.split("/"))
    return f"meta mark & {mask[0]} == {mark}" if mask else f"meta mark {mark}"


def endpoint(net: Network, end: Endpoint, settings: Settings) -> Iterator[Thing]:
    """The rules of one endpoint: nobody reaches its address but through its bridge.

    Its published ports.
    """
    for ip in end.ips:
        if published_ports.protected(net, ip.version, settings):
            # nft prints the names of a set by their bytes as numbers, the last one first.
            names = [
                f'"{dev}"'
                for dev in sorted(
                    {net.link, *net.bridge.trusted}, key=lambda dev: (len(dev), dev[::-1])
                )
            ]
            links = f"{{ {', '.join(names)} }}" if len(names) > 1 else names[0]
            yield rule(
                ip.version,
                "raw-PREROUTING",
                f"{FAMILY[ip.version]} daddr {ip.ip} iifname != {links} counter drop "
                'comment "DROP DIRECT ACCESS"',
                rule_reasons.NO_DIRECT_ROUTING,
            )
    for port in end.ports:
        yield from published(net, end, port, settings)


def link(net: Network, end: Endpoint, other: Linked, settings: Settings) -> Iterator[Thing]:
    """The rules of a link, where containers of a network are parted from each other.

    To the other's exposed ports, and back.
    """
    for parent, child, number, protocol in (
        published_ports.linked(end, other) if settings.firewall(4) else ()
    ):
        for spec in (
            f"ip saddr {parent} ip daddr {child} {protocol} dport {number} counter accept",
            f"ip saddr {child} {protocol} sport {number} ip daddr {parent} counter accept",
        ):
            yield rule(
                4,
                f"filter-forward-in__{net.link}",
                spec,
                rule_reasons.linked(other),
                before=_icc_rule(net),
            )


def published(net: Network, end: Endpoint, port: Port, settings: Settings) -> Iterator[Thing]:
    """The rules of one published port: an accept rule, and DNAT to the container.

    For an IPv6 address of the host and a container without IPv6 there is no DNAT, as NAT stays
    within a family: the proxy leads there. A routed port has the accept rule alone. A port that is
    published at several addresses yields the same accept rule for each, and so has one.
    """
    target, host_ip, br = end.target(port), port.host_ip, net.link
    version = target.version
    if not settings.firewall(version):
        return
    family, own = FAMILY[version], f"{port.protocol} dport {port.port}"
    if net.bridge.mode(version) is not GatewayMode.NAT_UNPROTECTED:
        yield rule(
            version,
            f"filter-forward-in__{br}",
            f"{family} daddr {target} {own} counter accept",
            rule_reasons.published_filter(port),
            before=_last(net, version),
        )
    if not end.rewrites(port):
        return
    # What these leave out, and why, is the same in drivers/bridge_iptables.py.
    own_bridge = f'iifname != "{br}" ' if settings.userland_proxy else ""
    link_local = "ip6 saddr != fe80::/10 " if version == 6 else ""
    where = "" if host_ip.is_unspecified else f"{family} daddr {host_ip} "
    asked, to = f"{port.protocol} dport {port.host_port} counter", at(target, port.port)
    yield rule(
        version,
        "nat-prerouting-and-output",
        f'{own_bridge}{link_local}{where}{asked} dnat to {to} comment "DNAT"',
        rule_reasons.published_nat(net, end, port),
    )
    if not settings.userland_proxy:
        yield rule(
            version,
            f"nat-postrouting-in__{br}",
            (
                f"{family} saddr {target} {family} daddr {target} {own}"
                ' counter masquerade comment "MASQ TO OWN PORT"'
            ),
            rule_reasons.HAIRPIN,
        )
    if version == 4 and host_ip.is_loopback:
        yield rule(
            version,
            "raw-PREROUTING",
            f'iifname != "lo" {where}{asked} drop comment "DROP REMOTE LOOPBACK"',
            rule_reasons.loopback_only(port),
        )
