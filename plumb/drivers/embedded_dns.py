"""The embedded DNS server.

How a question finds its way from a container's program to the agent, and the answer back.

    program ── 127.0.0.11:53 ── nat OUTPUT ── 127.0.0.11:PORT, the agent's socket in this namespace
    program ── 127.0.0.11:53 ── nat POSTROUTING ── from 127.0.0.11:PORT, what the agent answers

The whole of 127.0.0.0/8 is the container's own loopback, so no packet leaves its namespace; nothing
on the host listens, and no other container can ask. The ports mean nothing, and the container's
port 53 stays free for a server of its own. Connection tracking would turn the answers' source back
by itself, for a question that it has seen; the rule of POSTROUTING does so for any.

Containers on the default network alone have no such server: there names were never known, only
--link made some, in the hosts file. One that is on it and on others has, but the default network's
names are not in it. The rules are the same whatever the setting "iptables" says: that is about the
host's firewall, and these are in the sandbox.

Once there, the server stays until the container stops, even where it leaves its last network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox
from plumb.model.net.gateways import GATEWAY_NETWORK, gateway_of, gateway_order
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.dns import ADDRESS, Names, Resolver, Upstream
from plumb.things.host_ports import Agent
from plumb.things.iptables import Chain, Family, Position, Rule
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable

OUTPUT, POSTROUTING = "PLUMB_OUTPUT", "PLUMB_POSTROUTING"
TABLE, DNAT, SNAT = "plumb-dns", "dns-dnat", "dns-snat"
TO_THE_AGENT = "a question goes to the agent's socket, not to a program on port 53"
FROM_PORT_53 = "an answer comes from where the question was sent to"


def known_on(net: Network) -> bool:
    """True if the server resolves names of a network: of user-defined ones, not of the default.

    Nor of the network that is there for a gateway only, and of that for published ports only.
    """
    return served_on(net) and not net.overlay.ingress


def served_on(net: Network) -> bool:
    """True if a container on the network has the server, whatever it resolves there."""
    return not (net.predefined or net.name == GATEWAY_NETWORK)


def server(
    box: Sandbox, ends: Ends, ns: str, folder: str, upstreams: tuple[Upstream, ...], ndots: bool
) -> Iterator[Thing]:
    """The server at 127.0.0.11, if the container has one.

    Args:
        ends: the endpoints.
        ns, folder: the sandbox's namespace, the agent's folder.
        upstreams, ndots: whom it asks, and whether not for names without a dot.
    """
    if not box.dns_udp:
        return
    searched = [(end, net) for end, net in gateway_order(ends) if known_on(net)]
    links = tuple(
        (net.id, alias, name)
        for _, net in searched
        if (wish := box.attachment(net))
        for name, alias in wish.links
    )
    outside = any(gateway_of([pair], version) for pair in ends for version in (4, 6))
    yield Agent(folder)
    yield Resolver(
        folder,
        ns,
        box.dns_udp,
        box.dns_tcp,
        tuple(net.id for _, net in searched),
        links,
        upstreams,
        outside,
        ndots,
    )


def names(
    end: Endpoint | RemoteEndpoint, net: Network, known_as: tuple[str, ...], folder: str
) -> Iterator[Thing]:
    """The names of an endpoint, of this host or of another.

    Args:
        known_as: the container's names on this network.
        folder: the agent's.
    """
    if known_on(net):
        yield Agent(folder)
        asked_by = tuple(name for name in known_as if name)  # an empty alias is the root's name
        yield Names(folder, end.id, net.id, net.name, asked_by, tuple(ip.ip for ip in end.ips))


def redirects(box: Sandbox, ns: str, settings: Settings) -> Iterator[Thing]:
    """The rules in the sandbox."""
    if box.dns_udp:
        yield from REDIRECTS[settings.firewall_backend](box, ns)


def _iptables(box: Sandbox, ns: str) -> Iterator[Thing]:
    for chain, own in (("OUTPUT", OUTPUT), ("POSTROUTING", POSTROUTING)):
        yield Chain(Family.V4, "nat", own, ns=ns)
        yield Rule(
            Family.V4,
            "nat",
            chain,
            f"-d {ADDRESS}/32 -j {own}",
            Position.HEAD,
            "what concerns the embedded DNS server",
            ns,
        )
    for protocol, port in (("tcp", box.dns_tcp), ("udp", box.dns_udp)):
        match = f"-p {protocol} -m {protocol}"
        yield Rule(
            Family.V4,
            "nat",
            OUTPUT,
            f"-d {ADDRESS}/32 {match} --dport 53 -j DNAT --to-destination {ADDRESS}:{port}",
            why=TO_THE_AGENT,
            ns=ns,
        )
        yield Rule(
            Family.V4,
            "nat",
            POSTROUTING,
            f"-s {ADDRESS}/32 {match} --sport {port} -j SNAT --to-source :53",
            why=FROM_PORT_53,
            ns=ns,
        )


def _nftables(box: Sandbox, ns: str) -> Iterator[Thing]:
    yield NftTable(NftFamily.V4, TABLE, ns)
    yield NftChain(NftFamily.V4, TABLE, DNAT, "nat", "output", -100, "accept", ns)
    yield NftChain(NftFamily.V4, TABLE, SNAT, "nat", "postrouting", 100, "accept", ns)
    for protocol, port in (("udp", box.dns_udp), ("tcp", box.dns_tcp)):
        yield NftRule(
            NftFamily.V4,
            TABLE,
            DNAT,
            f"ip daddr {ADDRESS} {protocol} dport 53 counter dnat to {ADDRESS}:{port}",
            why=TO_THE_AGENT,
            ns=ns,
        )
        yield NftRule(
            NftFamily.V4,
            TABLE,
            SNAT,
            f"ip saddr {ADDRESS} {protocol} sport {port} counter snat to :53",
            why=FROM_PORT_53,
            ns=ns,
        )


REDIRECTS: dict[str, Callable[[Sandbox, str], Iterator[Thing]]] = {
    "iptables": _iptables,
    "nftables": _nftables,
}
"""By the setting firewall-backend."""
