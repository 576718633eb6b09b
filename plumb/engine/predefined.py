"""Predefined networks: bridge, host and none, from the settings."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from plumb.errors import Invalid
from plumb.model import parse as opt
from plumb.model.cnm import DEFAULT_NETWORK, Network, Pool
from plumb.model.paths import Layout
from plumb.model.settings import Settings

DEFAULT_LINK = "plumb0"
DEFAULT_DRIVER = "bridge"
"""Driver of the default network, and of networks without `--driver`."""


def predefined_id(layout: Layout, name: str) -> str:
    """Derive the id of a predefined network from the root and the network's name.

    The id is the same before and after the network is built, and differs between roots.
    """
    return hashlib.sha256(f"{layout.root} {name}".encode()).hexdigest()


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
    pools = []
    if settings.ipv6 and settings.fixed_cidr_v6:
        pools.append(
            _with_router(
                Pool(settings.fixed_cidr_v6, settings.fixed_cidr_v6), settings.default_gateway_v6
            )
        )
    if settings.bip:
        pools.append(
            _with_router(
                Pool(settings.bip.network, settings.fixed_cidr, settings.bip.ip),
                settings.default_gateway,
            )
        )
    elif settings.fixed_cidr:
        pools.append(
            _with_router(Pool(settings.fixed_cidr, settings.fixed_cidr), settings.default_gateway)
        )
    return Network(
        predefined_id(layout, DEFAULT_NETWORK),
        DEFAULT_NETWORK,
        DEFAULT_DRIVER,
        tuple(pools),
        ipv6=settings.ipv6,
        options=tuple(options.items()),
        **DRIVERS[DEFAULT_DRIVER].network_fields(options),
    )


def _with_router(pool: Pool, router: object) -> Pool:
    if router is None:
        return pool
    ip = opt.address(str(router))
    if ip not in pool.subnet:
        raise Invalid(f"default gateway ip {ip} must be part of the network {pool.subnet}")
    return replace(pool, aux=((f"DefaultGatewayIPv{ip.version}", ip),))


def others(layout: Layout) -> tuple[Network, ...]:
    """Build the networks host and none, which have no objects in the kernel."""
    return (
        Network(predefined_id(layout, "host"), "host", "host", number=-2),
        Network(predefined_id(layout, "none"), "none", "null", number=-1),
    )
