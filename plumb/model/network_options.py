"""Networks' driver options (`network create -o`): labels in, typed values out.

Docker ignores an option key that it does not know; plumb refuses it, as `options` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from plumb.errors import Invalid
from plumb.model.driver_options import (
    BridgeOptions,
    GatewayMode,
    IpvlanFlag,
    IpvlanMode,
    IpvlanOptions,
    MacvlanMode,
    MacvlanOptions,
)
from plumb.model.parse import (
    BRIDGE,
    PREFIX,
    between,
    boolean,
    ipv4,
    link_name,
    link_names,
    link_prefix,
    mtu,
    nearest,
    parsed,
    source4,
    source6,
)

E = TypeVar("E", bound=StrEnum)
Keys = dict[str, tuple[str, Callable[[str], Any]]]
"""Labels, each with the field that it is for and what reads it."""


def gateway_mode(text: str) -> GatewayMode:
    """A gateway mode."""
    try:
        return GatewayMode(text)
    except ValueError:
        raise ValueError(
            f"unknown gateway mode {text}; there are {', '.join(GatewayMode)}"
        ) from None


def parent(driver: str) -> Callable[[str], str]:
    """A parser of `-o parent=`; any link but loopback, whose packets never leave the host."""

    def parse(text: str) -> str:
        if text == "lo":
            raise Invalid(f"loopback interface is not a valid {driver} parent link")
        return link_name(text) if text else ""

    return parse


def choice(kind: type[E], otherwise: str) -> Callable[[str], E]:
    """A parser of one of a few words; empty is the first of them.

    Args:
        otherwise: Docker's words for anything else.
    """

    def parse(text: str) -> E:
        try:
            return kind(text) if text else next(iter(kind))
        except ValueError:
            raise Invalid(otherwise.format(text), f"there are {', '.join(kind)}") from None

    return parse


BRIDGE_KEYS: Keys = {
    BRIDGE + "name": ("name", link_name),
    BRIDGE + "enable_ip_masquerade": ("masquerade", boolean),
    BRIDGE + "enable_icc": ("icc", boolean),
    BRIDGE + "gateway_mode_ipv4": ("mode4", gateway_mode),
    BRIDGE + "gateway_mode_ipv6": ("mode6", gateway_mode),
    BRIDGE + "host_binding_ipv4": ("host_binding", ipv4),
    BRIDGE + "inhibit_ipv4": ("inhibit_ipv4", boolean),
    BRIDGE + "trusted_host_interfaces": ("trusted", link_names),
    PREFIX + "driver.mtu": ("mtu", mtu),
    PREFIX + "container_iface_prefix": ("iface_prefix", link_prefix),
    PREFIX + "host_ipv4": ("host_ipv4", source4),
    PREFIX + "host_ipv6": ("host_ipv6", source6),
}
MACVLAN_KEYS: Keys = {
    "parent": ("parent", parent("macvlan")),
    "macvlan_mode": (
        "mode",
        choice(
            MacvlanMode,
            "requested macvlan mode '{}' is not valid, 'bridge' mode is the macvlan driver default",
        ),
    ),
}
IPVLAN_KEYS: Keys = {
    "parent": ("parent", parent("ipvlan")),
    "ipvlan_mode": (
        "mode",
        choice(
            IpvlanMode,
            "requested ipvlan mode '{}' is not valid, 'l2' mode is the ipvlan driver default",
        ),
    ),
    "ipvlan_flag": (
        "flag",
        choice(
            IpvlanFlag,
            "requested ipvlan flag '{}' is not valid, 'bridge' is the ipvlan driver default",
        ),
    ),
}
DRIVERS: dict[str, tuple[Keys, Any]] = {
    "bridge": (BRIDGE_KEYS, BridgeOptions()),
    "macvlan": (MACVLAN_KEYS, MacvlanOptions()),
    "ipvlan": (IPVLAN_KEYS, IpvlanOptions()),
}
"""Each driver's labels, and what the network has of it (in the field called like the driver) without any."""
ADVERTISE_KEYS: Keys = {
    PREFIX + "advertise_addr_nmsgs": ("advertise_count", between(0, 3)),
    PREFIX + "advertise_addr_ms": ("advertise_interval", between(100, 2000)),
}
ENABLE4, ENABLE6, INTERNAL = PREFIX + "enable_ipv4", PREFIX + "enable_ipv6", PREFIX + "internal"
COMMON_KEYS = (ENABLE4, ENABLE6, INTERNAL, BRIDGE + "default_bridge")
MTU_OF_THE_PARENT = PREFIX + "driver.mtu"
"""Without effect for macvlan and ipvlan, as in Docker: their links have their parent's MTU."""


def driver_options(driver: str, options: Mapping[str, str]) -> dict[str, Any]:
    """A driver's labels as fields of a network.

    Raises:
        Invalid: a key that the driver does not have, or a value that cannot be parsed.
    """
    keys, default = DRIVERS[driver]
    own: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for key, text in options.items():
        if key in keys:
            name, parser = keys[key]
            own[name] = parsed(key, text, parser)
        elif key in ADVERTISE_KEYS:
            name, parser = ADVERTISE_KEYS[key]
            common[name] = parsed(key, text, parser)
        elif key in COMMON_KEYS:
            parsed(key, text, boolean)
        elif key == MTU_OF_THE_PARENT:
            parsed(key, text, mtu)
        else:
            raise Invalid(
                f"unknown option {key!r} of the {driver} driver",
                nearest(key, [*keys, *ADVERTISE_KEYS, *COMMON_KEYS]),
            )
    return {driver: replace(default, **own), **common}
