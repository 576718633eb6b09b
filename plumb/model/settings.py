"""Settings: the keys of Docker's daemon.json that concern networking.

They are read from the file that --config or PLUMB_CONFIG names, or /etc/plumb/config.json. A key
that Docker has but plumb does not is refused like any unknown one: a setting that is silently
without effect is worse than none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
)
from typing import Any

from plumb.address import IPAddress, IPInterface, IPNetwork, reserved
from plumb.errors import Invalid, Unsupported
from plumb.frozen import frozen
from plumb.model import parse as opt
from plumb.model.cnm import Pairs

ANY4 = IPv4Address("0.0.0.0")
DEFAULT_FILE = "/etc/plumb/config.json"


@frozen
class AddressPool:
    """A pool that subnets are taken from.

    `size` is the prefix length of each (Docker's default-address-pools).
    """

    base: IPNetwork
    size: int


@frozen
class Settings:
    """The settings, typed; the names are Docker's, with _ for -."""

    iptables: bool = True
    ip6tables: bool = True
    firewall_backend: str = "iptables"
    ip_forward: bool = True
    ip_forward_no_drop: bool = False
    ip_masq: bool = True
    ipv6: bool = False
    bridge: str = ""
    bip: IPv4Interface | None = None
    bip6: IPv6Interface | None = None
    fixed_cidr: IPv4Network | None = None
    fixed_cidr_v6: IPv6Network | None = None
    default_gateway: IPv4Address | None = None
    default_gateway_v6: IPv6Address | None = None
    icc: bool = True
    ip: IPAddress = ANY4
    mtu: int | None = None
    userland_proxy: bool = True
    allow_direct_routing: bool = False
    bridge_accept_fwmark: str = ""
    host_gateway_ips: tuple[IPAddress, ...] = ()
    default_address_pools: tuple[AddressPool, ...] = ()
    default_network_opts: tuple[tuple[str, Pairs], ...] = ()
    dns: tuple[IPAddress, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = field(default=())
    log_driver: str = ""
    log_opts: Pairs = ()

    def firewall(self, version: int) -> bool:
        """True if plumb writes firewall rules for this address family."""
        return self.iptables if version == 4 else self.ip6tables

    @property
    def opens(self) -> bool:
        """True if plumb switches on the host's IP forwarding.

        With nftables plumb only checks that it is on, as Docker.
        """
        return self.ip_forward and self.firewall_backend == "iptables"


# -- parsers: JSON in, a value or ValueError out ---------------------------------


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it can be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a string")
    return value


def _typed(parser: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: parser(_text(value))


def _many(parser: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def parse(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError("it must be a list")
        return tuple(parser(item) for item in value)

    return parse


def _mtu(value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("it must be a number")
    return opt.mtu(str(value))


def _bip(version: int) -> Callable[[Any], IPInterface]:
    example = "10.77.0.1/24" if version == 4 else "fd00:77::1/64"

    def parse(value: Any) -> IPInterface:
        text = _text(value)
        found = ip_interface(text)
        if found.version != version or "/" not in text or reserved(found.ip, found.network):
            raise ValueError(
                f"it is the bridge's own IPv{version} address with its prefix length, "
                f"like {example}"
            )
        return found

    return parse


def _gateway_ips(value: Any) -> tuple[IPAddress, ...]:
    found: tuple[IPAddress, ...] = _many(_typed(opt.address))(value)
    if len({ip.version for ip in found}) < len(found):
        raise ValueError("only one IPv4 address and one IPv6 address is allowed")
    return found


def _cidr(version: int) -> Callable[[Any], IPNetwork]:
    def parse(value: Any) -> IPNetwork:
        net = opt.network(_text(value), "fixed-cidr")
        if net.version != version:
            raise ValueError(f"it must be an IPv{version} subnet")
        if net.is_multicast or (version == 6 and net.overlaps(LINK_LOCAL6) and net != LINK_LOCAL6):
            raise ValueError("it cannot be a multicast or a part of the link-local subnet")
        return net

    return parse


LINK_LOCAL6 = IPv6Network("fe80::/64")


def _pool(value: Any) -> AddressPool:
    if not isinstance(value, dict) or set(value) != {"base", "size"}:
        raise ValueError('a pool is written {"base": "10.200.0.0/16", "size": 24}')
    base, size = opt.network(_text(value["base"]), "base"), value["size"]
    if (
        not isinstance(size, int)
        or isinstance(size, bool)
        or not base.prefixlen <= size <= base.max_prefixlen
    ):
        raise ValueError(
            f"{base} has a smaller prefix (/{base.prefixlen})"
            f" than the target size of that pool (/{size})"
            if isinstance(size, int) and size < base.prefixlen
            else f"invalid size {size!r}"
        )
    return AddressPool(base, size)


def _backend(value: Any) -> str:
    if value not in ("", "iptables", "nftables"):
        raise ValueError('it can be "iptables" or "nftables"')
    return value or "iptables"


def _fwmark(value: Any) -> str:
    text = _text(value)
    mark, slash, mask = text.partition("/")
    for word in [mark, mask] if slash else [mark]:
        if not 0 <= int(word, 0) < 1 << 32:
            raise ValueError("a mark is 32 bits")
    return f"{int(mark, 0):#x}" + (f"/{int(mask, 0):#x}" if slash else "")


def _network_opts(value: Any) -> tuple[tuple[str, Pairs], ...]:
    if not isinstance(value, dict) or not all(isinstance(opts, dict) for opts in value.values()):
        raise ValueError('it is written {"bridge": {"com.docker.network.driver.mtu": "1400"}}')
    return tuple(
        (driver, tuple((key, _text(text)) for key, text in opts.items()))
        for driver, opts in value.items()
    )


def _log_opts(value: Any) -> Pairs:
    if not isinstance(value, dict):
        raise ValueError('it is written {"max-size": "10m"}')
    return tuple((key, _text(text)) for key, text in value.items())


KEYS: dict[str, Callable[[Any], Any]] = {
    "iptables": _bool,
    "ip6tables": _bool,
    "firewall-backend": _backend,
    "ip-forward": _bool,
    "ip-forward-no-drop": _bool,
    "ip-masq": _bool,
    "ipv6": _bool,
    "bridge": _typed(lambda t: t and opt.link_name(t)),
    "bip": _bip(4),
    "bip6": _bip(6),
    "fixed-cidr": _cidr(4),
    "fixed-cidr-v6": _cidr(6),
    "default-gateway": _typed(opt.ipv4),
    "default-gateway-v6": _typed(opt.ipv6),
    "icc": _bool,
    "ip": _typed(lambda t: opt.host_address(t) if t else ANY4),
    "mtu": _mtu,
    "userland-proxy": _bool,
    "allow-direct-routing": _bool,
    "bridge-accept-fwmark": _fwmark,
    "host-gateway-ips": _gateway_ips,
    "default-address-pools": _many(_pool),
    "default-network-opts": _network_opts,
    "dns": _many(_typed(opt.address)),
    "dns-search": _many(_typed(opt.search_domain)),
    "dns-opts": _many(_typed(opt.line)),
    "log-driver": _text,
    "log-opts": _log_opts,
}


def parse(text: str, where: str) -> Settings:
    """Settings from JSON text.

    Raises:
        Invalid: it is no JSON object, has an unknown key, or a value that makes no sense.
    """
    try:
        found = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Invalid(f"{where} must hold a JSON object")
    return from_mapping(found, where)


def from_mapping(found: Mapping[str, Any], where: str = "settings") -> Settings:
    """Settings from daemon.json's keys and values."""
    fields: dict[str, Any] = {}
    for key, value in found.items():
        if key not in KEYS:
            raise Invalid(f"{where}: unknown setting {key!r}", opt.nearest(key, KEYS))
        try:
            fields[key.replace("-", "_")] = KEYS[key](value)
        except (ValueError, Invalid) as error:
            raise Invalid(f"{where}: invalid {key} {value!r}: {error}") from None
    return checked(replace(Settings(), **fields), where)


def checked(settings: Settings, where: str) -> Settings:
    """Settings that agree with each other.

    `iptables: false` switches masquerading off, as in Docker.
    """
    for key, bip in (("bip", settings.bip), ("bip6", settings.bip6)):
        if settings.bridge and bip:
            raise Invalid(
                f"{where}: bridge and {key} are mutually exclusive: "
                "the bridge has its address already"
            )
    if not settings.icc and not settings.iptables:
        raise Invalid(
            f"{where}: icc: false needs iptables: it is a firewall rule that parts the containers"
        )
    if not settings.icc and settings.ipv6 and not settings.ip6tables:
        raise Invalid(f"{where}: icc: false with ipv6 needs ip6tables")
    if (
        settings.bip
        and settings.default_gateway
        and settings.default_gateway not in settings.bip.network
    ):
        raise Invalid(
            f"{where}: default gateway {settings.default_gateway}"
            f" must be part of {settings.bip.network}"
        )
    _check_log(settings, where)
    return settings if settings.iptables else replace(settings, ip_masq=False)


def _check_log(settings: Settings, where: str) -> None:
    """See that there are such a logging driver and such options of it.

    Raises:
        Invalid: there are not; Unsupported: Docker has them, and plumb does not.
    """
    if not (settings.log_driver or settings.log_opts):
        return
    from plumb.model.lifecycle import log_drivers  # lazy: few hosts have another default

    try:
        log_drivers.parsed("", (), settings.log_driver, settings.log_opts)
    except (Invalid, Unsupported) as error:
        raise type(error)(f"{where}: {error}", error.hint) from None


def load(path: str | None = None, usual: str = DEFAULT_FILE) -> Settings:
    """Settings from a file.

    Args:
        path: the file's; None for that of PLUMB_CONFIG.
        usual: the file without either, if it is there.
    """
    named = path or os.environ.get("PLUMB_CONFIG")
    path = named or usual
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except FileNotFoundError:
        if named:
            raise Invalid(f"settings file {path} does not exist") from None
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"settings file {path} cannot be read: {error}") from None
