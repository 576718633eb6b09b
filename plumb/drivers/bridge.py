"""bridge: a private segment on this host, hidden behind the host's own address.

A Linux bridge is a switch in the kernel. A veth pair connects each container to it; the host is
connected as well, through the bridge's own address, which is the containers' gateway.

    container c1          container c2
    eth0 172.18.0.2       eth0 172.18.0.3
       │                     │
    veth1a2b3c4           veth5d6e7f8       each in the host, ports of
    ───┴─────────────────────┴───────       br-0123456789ab  172.18.0.1/16
                   │
                 host ── forwarding, firewall, NAT ── eth0 192.0.2.10 ── the world

A packet from c1 to c2 stays on the switch. A packet from c1 to the world goes to the gateway, is
routed by the host (so the host must forward), passes the firewall (`bridge_iptables.py`, or
`bridge_nftables.py` by the setting firewall-backend), and leaves with the host's address instead
of c1's, which nobody outside knows. Answers come back by connection tracking. Nothing from outside
reaches a container unless a port of it is published.

The default network (`bridge`, with the link plumb0) is one of these, with settings of the host
instead of options.

Gateway modes, per address family: `nat` is the above; `nat-unprotected` lets in whoever can route
here; `routed` does no NAT at all: the world knows the subnet; `isolated`, for internal networks,
gives the host no address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from plumb.address import IPAddress, ip_on
from plumb.drivers import bridge_iptables, bridge_nftables
from plumb.drivers.driver import Driver, HostView
from plumb.drivers.options import Keys
from plumb.drivers.sandbox import interface
from plumb.errors import Conflict, Invalid, Unsupported
from plumb.model.cnm import Endpoint, Linked, Network, Pool
from plumb.model.driver_options import BridgeOptions, GatewayMode
from plumb.model.parse import (
    BRIDGE,
    PREFIX,
    boolean,
    host_address,
    link_name,
    link_names,
    link_prefix,
    mtu,
    source4,
    source6,
)
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.layer3 import Address, Sysctl
from plumb.things.links import Bridge, LinkAddress, Up, Veth

FIREWALLS = {"iptables": bridge_iptables, "nftables": bridge_nftables}
"""The back ends, by the setting firewall-backend."""


def shared(settings: Settings) -> Iterator[Thing]:
    """Things that are there once for all bridge networks."""
    yield from FIREWALLS[settings.firewall_backend].host(settings)


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """A bridge network: the bridge, its addresses, its part of the firewall."""
    br = net.link
    if not net.foreign:
        yield Bridge(br, mac=bridge_mac(net), mtu=net.bridge.mtu)
    elif net.link_mac:
        yield LinkAddress(br, net.link_mac)
    if accepts_routers(net):
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
    if not settings.userland_proxy:
        # Without the proxy, 127.0.0.1:PORT is rewritten to a container too: the kernel must let it
        # leave loopback. Docker sets it on every bridge.
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
    """Things of a container on the bridge: veth pair, addresses, rules that drop and accept."""
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
    """Rules of a link (`--link`), on a default network whose containers do not reach each other."""
    if net.default and not net.bridge.icc:
        yield from FIREWALLS[settings.firewall_backend].link(net, end, other, settings)


def speaks_ipv6(net: Network) -> bool:
    """True if the kernel has IPv6 on this network's links: not below an MTU of 1280 (RFC 8200)."""
    return net.bridge.mtu is None or net.bridge.mtu >= 1280


def accepts_routers(net: Network) -> bool:
    """True if the kernel would take router advertisements on the bridge, and plumb forbids it.

    As Docker, on bridges of plumb's own and on that of the default network, whoever made it.
    """
    if net.foreign:
        return net.default and net.link_ipv6
    return speaks_ipv6(net)


def has_address(net: Network, version: int) -> bool:
    """True if the host has an address on the bridge."""
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


# -- before it is built ---------------------------------------------------------------


def _check(net: Network) -> None:
    if not (net.ipv4 or net.ipv6):
        raise Invalid("IPv4 or IPv6 must be enabled")
    if net.ipv6 and net.bridge.mtu and net.bridge.mtu < 1280:
        raise Invalid(f"invalid MTU number: {net.bridge.mtu}: IPv6 needs 1280 at least (RFC 8200)")
    for version in (4, 6):
        if sum(pool.subnet.version == version for pool in net.pools) > 1:
            raise Invalid("bridge driver doesn't support multiple subnets")
        if net.bridge.mode(version) is GatewayMode.ISOLATED and not net.internal:
            raise Invalid(
                "gateway mode 'isolated' can only be used for an internal network", "add --internal"
            )
    for pool in net.pools:
        routers = [name for name, _ in pool.aux if name.startswith("DefaultGatewayIPv")]
        if routers and net.internal:
            raise Invalid("no gateway can be set on an internal bridge network")


def complete(net: Network, host: HostView) -> Network:
    """The network with all that must be chosen, and no other network in its way.

    Raises:
        Invalid, Conflict, Exhausted, Unsupported: with Docker's words where it has some.
    """
    _check(net)
    kind = host.kind_of(net.bridge.name) if net.bridge.name else None
    recorded = host.recorded(("link", "", net.link)) is not None
    for other in host.networks():
        if other.driver == net.driver and other.id != net.id and other.link == net.link:
            raise Conflict(
                f"cannot create network {net.id} ({net.link}):"
                f" conflicts with network {other.id} ({other.link}):"
                " networks have same bridge name",
                f"that is network {other.name}",
            )
    if kind is not None and kind != "bridge" and not recorded:
        raise Conflict(
            f"existing interface {net.link} is not a bridge",
            "choose another com.docker.network.bridge.name",
        )
    foreign = kind == "bridge" and not recorded
    net = host.allot_subnets(replace(net, foreign=foreign, opens=_opens(net, host)))
    for pool in net.pools:
        for other in host.networks():
            if (
                other.driver == net.driver
                and other.id != net.id
                and any(_overlap(pool, theirs) for theirs in other.pools)
            ):
                raise Conflict(
                    f"cannot create network {net.id} ({net.link}):"
                    f" conflicts with network {other.id} ({other.link}):"
                    f" networks have overlapping IPv{pool.subnet.version}",
                    f"that is network {other.name}",
                )
    check_settings(net, host)
    return _adopted(net, host) if foreign else net


def _adopted(net: Network, host: HostView) -> Network:
    """The network with what its bridge, another program's, has already.

    The kernel has no IPv6 on a bridge with an MTU below 1280.
    """
    accept_ra = Sysctl(f"net/ipv6/conf/{net.link}/accept_ra", "0")
    ipv6, own = host.look([accept_ra, LinkAddress(net.link, "")])
    return replace(
        net,
        kept=_kept(net, host),
        link_ipv6=ipv6 is not None,
        link_mac=own.mac if isinstance(own, LinkAddress) and own.mac != NO_MAC else "",
    )


NO_MAC = "00:00:00:00:00:00"


def _overlap(one: Pool, other: Pool) -> bool:
    return one.subnet.version == other.subnet.version and one.subnet.overlaps(other.subnet)


def _kept(net: Network, host: HostView) -> tuple[IPAddress, ...]:
    """The gateway addresses that a foreign bridge has already."""
    wanted = [
        Address(net.link, ip_on(pool.gateway, pool.subnet.prefixlen))
        for pool in net.pools
        if pool.gateway is not None
    ]
    there = zip(wanted, host.look(wanted), strict=True)
    return tuple(address.ip.ip for address, now in there if now is not None)


def _opens(net: Network, host: HostView) -> tuple[int, ...]:
    """The families for which the host did not forward before plumb made it."""
    found = []
    for version in (v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on):
        if not host.settings.opens or host.settings.ip_forward_no_drop:
            continue
        asked = Sysctl(FORWARDING[version], "1")
        was = host.previous(asked.key) or host.look([asked])[0]
        if isinstance(was, Sysctl) and was.value == "0":
            found.append(version)
    return tuple(found)


FORWARDS_NOT = {
    4: "IPv4 forwarding is disabled: check your host's firewalling and set sysctl "
    "net.ipv4.ip_forward=1",
    6: "IPv6 global forwarding is disabled: check your host's firewalling and set sysctls "
    "net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1",
}


def check_settings(net: Network, host: HostView) -> None:
    """See whether a network can be with this host's back end, if that is nftables.

    The host must forward by itself then: plumb has no policy there to keep the rest of it closed
    (Docker's rule).

    Raises:
        Unsupported: it does not, or does so only because plumb made it, for iptables.
        Invalid: the bridge's name cannot be part of a chain's.
    """
    if host.settings.firewall_backend != "nftables":
        return
    if "@" in net.link:
        raise Invalid(
            f"invalid bridge name {net.link}: nftables has chains of that name,"
            " and none with '@' in it"
        )
    for version in (
        v for v, on in ((4, net.ipv4), (6, net.ipv6)) if on and host.settings.ip_forward
    ):
        wanted = list(forwarding(version))
        was = [
            host.previous(asked.key) or now
            for asked, now in zip(wanted, host.look(wanted), strict=True)
        ]
        if any(isinstance(each, Sysctl) and each.value == "0" for each in was):
            ours = host.recorded(wanted[0].key) is not None
            raise Unsupported(
                f'{FORWARDS_NOT[version]}, or disable this check using "ip-forward": false',
                "it is on only because plumb turned it on for the iptables back end, "
                'and goes off with that: first set "ip-forward": false, '
                "then the sysctl by hand, then firewall-backend"
                if ours
                else "",
            )


def needs_gateway(net: Network, version: int) -> bool:
    """Tell whether an address is set aside for the host; else a /31 has room for two containers."""
    if net.bridge.mode(version) is GatewayMode.ISOLATED:
        return False
    return not (version == 4 and net.bridge.inhibit_ipv4 and net.internal)


# -- its options ---------------------------------------------------------------


def gateway_mode(text: str) -> GatewayMode:
    """A gateway mode."""
    try:
        return GatewayMode(text)
    except ValueError:
        raise ValueError(
            f"unknown gateway mode {text}; there are {', '.join(GatewayMode)}"
        ) from None


def _chosen_name(text: str) -> str:
    """A name for the bridge; an empty one stands for the name that is made of the id."""
    return link_name(text) if text else ""


KEYS: Keys = {
    BRIDGE + "name": ("name", _chosen_name),
    BRIDGE + "enable_ip_masquerade": ("masquerade", boolean),
    BRIDGE + "enable_icc": ("icc", boolean),
    BRIDGE + "gateway_mode_ipv4": ("mode4", gateway_mode),
    BRIDGE + "gateway_mode_ipv6": ("mode6", gateway_mode),
    BRIDGE + "host_binding_ipv4": ("host_binding", host_address),
    BRIDGE + "inhibit_ipv4": ("inhibit_ipv4", boolean),
    BRIDGE + "trusted_host_interfaces": ("trusted", link_names),
    PREFIX + "driver.mtu": ("mtu", mtu),
    PREFIX + "container_iface_prefix": ("iface_prefix", link_prefix),
    PREFIX + "host_ipv4": ("host_ipv4", source4),
    PREFIX + "host_ipv6": ("host_ipv6", source6),
}

DRIVER = Driver(
    name="bridge",
    stored="bridge",
    keys=KEYS,
    defaults=BridgeOptions(),
    link_prefix="br-",
    bridge_in_host=True,
    publishes_ports=True,
    complete=complete,
    check_settings=check_settings,
    needs_gateway=needs_gateway,
    shared=shared,
    network=network,
    endpoint=endpoint,
    link=link,
)
