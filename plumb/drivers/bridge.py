"""bridge: a private segment on this host, hidden behind the host's own address.

A Linux bridge is a switch in the kernel. Every container is plugged into it with a cable (a veth
pair); the host is plugged in as well, through the bridge's own address, which is the containers'
gateway.

    container c1          container c2
    eth0 172.18.0.2       eth0 172.18.0.3
       │                     │
    veth1a2b3c4           veth5d6e7f8       each in the host, ports of
    ───┴─────────────────────┴───────       br-0123456789ab  172.18.0.1/16
                   │
                 host ── forwarding, firewall, NAT ── eth0 192.0.2.10 ── the world

A packet from c1 to c2 stays on the switch. A packet from c1 to the world goes to the gateway, is
routed by the host (so the host must forward), passes the firewall (`drivers/firewall.py`, or
`drivers/nftables.py` by the setting firewall-backend), and leaves with the host's address instead
of c1's, which nobody outside knows. Answers come back by connection tracking. Nothing from outside
reaches a container unless a port of it is published.

The default network (`bridge`, with the link plumb0) is one of these, with settings of the host
instead of options.

Gateway modes, per address family: `nat` is the above; `nat-unprotected` lets in whoever can route
here; `routed`
does no NAT at all: the world knows the subnet; `isolated`, for internal networks, gives the host no
address.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers import bridge_iptables, bridge_nftables
from plumb.drivers.sandbox import interface
from plumb.model.cnm import Endpoint, Linked, Network, ip_on
from plumb.model.driver_options import GatewayMode
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.layer3 import Address, Sysctl
from plumb.things.links import Bridge, Up, Veth

FIREWALLS = {"iptables": bridge_iptables, "nftables": bridge_nftables}
"""The back ends, by the setting firewall-backend."""


def host(settings: Settings) -> Iterator[Thing]:
    """What is there once for all bridge networks."""
    yield from FIREWALLS[settings.firewall_backend].host(settings)


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """A bridge network: the bridge, its addresses, its part of the firewall."""
    br = net.link
    if not net.foreign:
        yield Bridge(br, mac=bridge_mac(net), mtu=net.bridge.mtu)
        if speaks_ipv6(net):
            # The host is this network's router. It does not take a container's word for where the
            # world is.
            yield Sysctl(f"net/ipv6/conf/{br}/accept_ra", "0")
    if net.ipv6:
        isolated = net.bridge.mode6 is GatewayMode.ISOLATED
        yield Sysctl(f"net/ipv6/conf/{br}/disable_ipv6", "1" if isolated else "0")
    for pool in net.pools:
        if (
            pool.gateway is not None
            and pool.gateway not in net.kept
            and has_address(net, pool.subnet.version)
        ):
            yield Address(br, ip_on(pool.gateway, pool.subnet.prefixlen))

    yield from FIREWALLS[settings.firewall_backend].network(net, settings)
    if not settings.userland_proxy and net.ipv4:
        # Without the proxy, 127.0.0.1:PORT is rewritten to a container too: the kernel must let it
        # leave loopback.
        yield Sysctl(f"net/ipv4/conf/{br}/route_localnet", "1", usual="0")
    for version in versions(net):
        if settings.firewall(version) and not (net.bridge.icc and settings.userland_proxy):
            # Containers on one bridge talk without the host's IP layer: only br_netfilter shows
            # iptables their packets.
            yield Sysctl(BRIDGE_NETFILTER[version], "1")
        if settings.opens:
            yield from forwarding(version)
    if not net.foreign:
        yield Up(br)


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """One container's place on the bridge: the cable, its addresses, and the wall around them."""
    yield Veth(
        end.link,
        net.link,
        end.ifname,
        ns,
        end.mac,
        net.bridge.mtu,
        hairpin=not settings.userland_proxy,
    )
    yield from FIREWALLS[settings.firewall_backend].endpoint(net, end, settings)
    yield from interface(end, ns, speaks_ipv6(net))


def link(net: Network, end: Endpoint, other: Linked, settings: Settings) -> Iterator[Thing]:
    """What a link (`--link`) opens on the default network.

    Something, where its containers do not reach each other.
    """
    if net.default and not net.bridge.icc:
        yield from FIREWALLS[settings.firewall_backend].link(net, end, other, settings)


def speaks_ipv6(net: Network) -> bool:
    """Whether the kernel knows IPv6 on this network's links at all.

    Below an MTU of 1280 it does not (RFC 8200).
    """
    return net.bridge.mtu is None or net.bridge.mtu >= 1280


def has_address(net: Network, version: int) -> bool:
    """Whether the host has an address on the bridge."""
    if net.bridge.mode(version) is GatewayMode.ISOLATED:
        return False
    return not (version == 4 and net.bridge.inhibit_ipv4)


def forwarding(version: int) -> Iterator[Thing]:
    """Make the host a router. For IPv6 also by default, for the links that are still to come."""
    if version == 4:
        yield Sysctl("net/ipv4/ip_forward", "1")
    else:
        yield Sysctl("net/ipv6/conf/default/forwarding", "1")
        yield Sysctl("net/ipv6/conf/all/forwarding", "1")


FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""What says whether the host forwards."""

BRIDGE_NETFILTER = {
    4: "net/bridge/bridge-nf-call-iptables",
    6: "net/bridge/bridge-nf-call-ip6tables",
}


def versions(net: Network) -> tuple[int, ...]:
    """The address families that the network has subnets of."""
    return tuple(sorted({pool.subnet.version for pool in net.pools}))


def bridge_mac(net: Network) -> str:
    """A locally administered unicast MAC, from the network's id, so as random as that."""
    return ":".join(["02", *(net.id[i : i + 2] for i in range(12, 22, 2))])
