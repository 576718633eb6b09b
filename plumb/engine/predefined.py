"""Predefined networks: bridge, host and none, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plumb.address import IPAddress, IPInterface, IPNetwork
from plumb.digest import digest
from plumb.errors import Invalid
from plumb.frozen import replace
from plumb.model import parse as opt
from plumb.model.cnm import DEFAULT_NETWORK, Network, Pool
from plumb.model.paths import Layout
from plumb.model.settings import LINK_LOCAL6, Settings

DEFAULT_LINK = "plumb0"
DEFAULT_DRIVER = "bridge"
"""Driver of the default network, and of networks without `--driver`."""


def predefined_id(layout: Layout, name: str) -> str:
    """Derive the id of a predefined network from the root and the network's name.

    The id is the same before and after the network is built, and differs between roots.
    """
    return digest(f"{layout.root} {name}").hex()


def default_network(settings: Settings, layout: Layout) -> Network:
    """Build the default network from the settings, its subnets not chosen yet."""
    from plumb.drivers import DRIVERS  # lazy: most reading commands need no driver

    options = {
        opt.BRIDGE + "default_bridge": "true",
        opt.BRIDGE + "enable_icc": str(settings.icc).lower(),
        opt.BRIDGE + "enable_ip_masquerade": str(settings.ip_masq).lower(),
        opt.BRIDGE + "host_binding_ipv4": str(settings.ip),
        opt.BRIDGE + "name": settings.bridge or DEFAULT_LINK,
        opt.PREFIX + "driver.mtu": str(settings.mtu or 1500),
    }
    asked = [
        _pool(settings.bip6, settings.fixed_cidr_v6) if settings.ipv6 else None,
        _pool(settings.bip, settings.fixed_cidr),
    ]
    return Network(
        predefined_id(layout, DEFAULT_NETWORK),
        DEFAULT_NETWORK,
        DEFAULT_DRIVER,
        tuple(pool for pool in asked if pool is not None),
        ipv6=settings.ipv6,
        options=tuple(options.items()),
        **DRIVERS[DEFAULT_DRIVER].network_fields(options),
    )


def _pool(own: IPInterface | None, fixed: IPNetwork | None) -> Pool | None:
    """The subnet that the bridge's own address or the range of containers' addresses names."""
    if own is not None:
        return Pool(own.network, fixed, own.ip)
    return Pool(fixed, fixed) if fixed is not None else None


def on_bridge(
    net: Network, settings: Settings, addresses: Callable[[int], Sequence[IPInterface]]
) -> Network:
    """The default network on a bridge of the administrator's, whose addresses name the subnets.

    Args:
        addresses: the bridge's addresses of one family, in the kernel's order.

    Raises:
        Invalid: fixed-cidr-v6 is not within a subnet of the bridge.
    """
    fixed: dict[int, IPNetwork | None] = {4: settings.fixed_cidr, 6: settings.fixed_cidr_v6}
    found = [
        _pool_on(addresses(version), fixed[version])
        for version in ((6, 4) if settings.ipv6 else (4,))
    ]
    return replace(net, pools=tuple(pool for pool in found if pool is not None))


def _pool_on(addresses: Sequence[IPInterface], fixed: IPNetwork | None) -> Pool | None:
    """The subnet of one of a bridge's addresses, as Docker chooses it.

    The address in whose subnet fixed-cidr begins, else the first one in fixed-cidr, else the first.
    The kernel's own link-local address names none, unless fixed-cidr-v6 is its subnet.
    """
    own = [ip for ip in addresses if ip.ip not in LINK_LOCAL6 or fixed == LINK_LOCAL6]
    if not own:
        return _pool(None, fixed)
    if fixed is None:
        return _pool(own[0], None)
    around = [ip for ip in own if fixed.network_address in ip.network]
    within = [ip for ip in own if ip.ip in fixed]
    chosen = (around or within or own)[0]
    if fixed.network_address in chosen.network and fixed.prefixlen >= chosen.network.prefixlen:
        return _pool(chosen, fixed)
    if fixed.version == 6:
        raise Invalid(
            f"fixed-cidr-v6={fixed} is outside any subnet implied by addresses on the "
            "user-managed default bridge"
        )
    return _pool(chosen, None)


def with_routers(net: Network, settings: Settings) -> Network:
    """The default network with the settings' default gateways, whatever chose its subnets.

    Each is set aside, and the containers' default route leads there instead of to the bridge.
    """
    routers = {4: settings.default_gateway, 6: settings.default_gateway_v6}
    return replace(
        net, pools=tuple(_with_router(pool, routers[pool.subnet.version]) for pool in net.pools)
    )


def _with_router(pool: Pool, ip: IPAddress | None) -> Pool:
    if ip is None:
        return pool
    if ip not in pool.subnet:
        raise Invalid(f"default gateway ip {ip} must be part of the network {pool.subnet}")
    return replace(pool, aux=((f"DefaultGatewayIPv{ip.version}", ip),))


def others(layout: Layout) -> tuple[Network, ...]:
    """Build the networks host and none, which have no objects in the kernel."""
    return (
        Network(predefined_id(layout, "host"), "host", "host", number=-2),
        Network(predefined_id(layout, "none"), "none", "null", number=-1),
    )
