"""IPAM: the choice of a network's subnet and of an endpoint's address.

All pure; the caller keeps what is taken.

Docker's rules. A subnet: the first of the default pools, sorted, that overlaps neither another
network nor a network that the host itself is attached to. An address: the lowest that is
free, so one that was given back is handed out again at once. Of an IPv4 subnet the first and last
address are nobody's (network and broadcast), but for /31 and /32, where all count (RFC 3021); of an
IPv6 subnet of any size the first is the routers' anycast address (RFC 4291), so that a /128 has
room for nobody. An --ip-range narrows what is handed out by itself; its own first and last
addresses are ordinary ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from plumb.address import IPAddress, IPNetwork, reserved
from plumb.digest import digest
from plumb.errors import Exhausted, Invalid
from plumb.model.cnm import Pool
from plumb.model.parse import address
from plumb.model.settings import LINK_LOCAL6, AddressPool

LOCAL_POOLS: tuple[AddressPool, ...] = (
    *(AddressPool(IPv4Network(f"172.{n}.0.0/16"), 16) for n in (17, 18, 19)),
    *(AddressPool(IPv4Network(f"172.{n}.0.0/14"), 16) for n in (20, 24, 28)),
    AddressPool(IPv4Network("192.168.0.0/16"), 20),
)
"""Docker's default pools for networks of one host."""

Taken = Callable[[IPAddress], bool]


def unique_local(host: str) -> AddressPool:
    """The IPv6 pool of a host.

    A /48 of unique local addresses (RFC 4193), its 40 bits from the host's id.
    """
    bits = digest(host)[:5]
    return AddressPool(IPv6Network((b"\xfd" + bits + bytes(10), 48)), 64)


def pools(configured: Sequence[AddressPool], version: int, host: str) -> tuple[AddressPool, ...]:
    """Address pools for the subnets of one family.

    These are the configured pools if there are any, else Docker's. dockerd sorts them, so that
    subnets are chosen from the lowest addresses first, and drops a pool that is part of another.
    """
    found: list[AddressPool] = []
    for pool in sorted(configured, key=lambda pool: (pool.base.version, pool.base)):
        if pool.base.version == version and not (found and pool.base.overlaps(found[-1].base)):
            found.append(pool)
    return tuple(found) or (LOCAL_POOLS if version == 4 else (unique_local(host),))


def choose_subnet(candidates: Iterable[AddressPool], taken: Iterable[IPNetwork]) -> IPNetwork:
    """The first subnet of the pools that overlaps nothing that is taken.

    Raises:
        Exhausted: there is none left.
    """
    occupied = list(taken)
    for pool in candidates:
        step = 1 << (pool.base.max_prefixlen - pool.size)
        start, end = int(pool.base.network_address), int(pool.base.broadcast_address)
        rivals = sorted(
            (int(net.network_address), int(net.broadcast_address))
            for net in occupied
            if net.version == pool.base.version and net.overlaps(pool.base)
        )
        for low, high in rivals:
            if start + step <= low:
                break
            if high >= start:
                start = (high // step + 1) * step
        if start + step - 1 <= end:
            return type(pool.base)((start, pool.size))
    raise Exhausted(
        "all predefined address pools have been fully subnetted",
        "name a subnet with --subnet, or more pools in the setting default-address-pools",
    )


def lowest_free(pool: Pool, taken: Taken, start: IPAddress | None = None) -> IPAddress | None:
    """The lowest address that can be handed out by itself, or None.

    Args:
        pool: the subnet, and its range.
        taken: whether somebody has an address.
        start: an address below which none is free, to begin there.
    """
    span = _span(pool)
    make: Callable[[int], IPAddress] = IPv4Address if span.version == 4 else IPv6Address
    number, last = int(span.network_address), int(span.broadcast_address)
    if span.network_address not in pool.subnet:
        return None
    if start is not None:
        number = max(number, int(start))
    while number <= last:
        ip = make(number)
        if not reserved(ip, pool.subnet) and not taken(ip):
            return ip
        number += 1
    return None


def _span(pool: Pool) -> IPNetwork:
    """The part of a subnet that addresses are chosen from.

    A range that is larger than the subnet, by the setting fixed-cidr, narrows nothing.
    """
    if pool.range is None or pool.range.prefixlen < pool.subnet.prefixlen:
        return pool.subnet
    return pool.range


def plan_pools(
    subnets: Sequence[IPNetwork],
    ranges: Sequence[IPNetwork],
    gateways: Sequence[IPAddress],
    aux: Mapping[str, str],
) -> tuple[Pool, ...]:
    """Put the words of `network create` together, as Docker's command line does.

    Each to the subnet that holds it.

    Raises:
        Invalid: one that no subnet holds, two for one subnet, subnets that overlap.
    """
    for i, one in enumerate(subnets):
        for other in subnets[i + 1 :]:
            if one.version == other.version and one.overlaps(other):
                raise Invalid("multiple overlapping subnet configuration is not supported")
    if max(len(ranges), len(gateways)) > len(subnets):
        raise Invalid("every ip-range or gateway must have a corresponding subnet")
    found = {subnet: Pool(check_subnet(subnet)) for subnet in subnets}
    for span in ranges:
        pool = _holding(found.values(), span.network_address, f"range {span}")
        if pool.range is not None:
            raise Invalid(
                f"cannot configure multiple ranges ({span}, {pool.range})"
                f" on the same subnet ({pool.subnet})"
            )
        if span.prefixlen < pool.subnet.prefixlen:
            raise Invalid(
                f"invalid ip-range {span}: "
                f"CIDR block is bigger than its parent subnet {pool.subnet}"
            )
        found[pool.subnet] = Pool(pool.subnet, span)
    for gateway in gateways:
        pool = _holding(found.values(), gateway, f"gateway {gateway}")
        if pool.gateway is not None:
            raise Invalid(
                f"cannot configure multiple gateways ({gateway}, {pool.gateway})"
                f" for the same subnet ({pool.subnet})"
            )
        found[pool.subnet] = Pool(pool.subnet, pool.range, usable(gateway, pool.subnet, "gateway"))
    _reserve(found, aux)
    return tuple(found.values())


def _reserve(found: dict[IPNetwork, Pool], aux: Mapping[str, str]) -> None:
    """Put auxiliary addresses into their subnets' pools."""
    for name, text in aux.items():
        extra = _any_address(text, "aux-address")
        pool = _holding(found.values(), extra, f"aux-address {text}")
        if name.startswith("DefaultGatewayIPv") and name != f"DefaultGatewayIPv{extra.version}":
            raise Invalid(
                f"invalid auxiliary address {name}: {extra} is an IPv{extra.version} address"
            )
        if extra in {ip for _, ip in pool.aux} | {pool.gateway}:
            raise Invalid(
                f"failed to allocate secondary ip address ({name}:{extra}): Address already in use"
            )
        extras = (*pool.aux, (name, usable(extra, pool.subnet, "auxiliary address")))
        found[pool.subnet] = Pool(pool.subnet, pool.range, pool.gateway, extras)


def _any_address(text: str, what: str) -> IPAddress:
    """An address; what is none is in no subnet, as Docker says it."""
    try:
        return address(text)
    except Invalid:
        raise Invalid(f"no matching subnet for {what} {text}", "it is not an IP address") from None


def gateway(text: str) -> IPAddress:
    """A gateway's address.

    Raises:
        Invalid: it is none.
    """
    return _any_address(text, "gateway")


def _holding(candidates: Iterable[Pool], ip: IPAddress, what: str) -> Pool:
    for pool in candidates:
        if ip.version == pool.subnet.version and ip in pool.subnet:
            return pool
    raise Invalid(f"no matching subnet for {what}")


NOBODYS = tuple(
    ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "ff00::/8")
)
"""What no host's address can be in.

"this network", loopback, multicast and reserved, IPv4 in IPv6's clothes.
"""


def check_subnet(subnet: IPNetwork) -> IPNetwork:
    """A subnet that hosts can be in.

    Raises:
        Invalid: it is one of multicast, loopback or everything, or a part of the link-local subnet.
    """
    if any(subnet.version == never.version and subnet.overlaps(never) for never in NOBODYS):
        raise Invalid(f"invalid subnet {subnet}: no host can have an address in it")
    if subnet.version == 6 and subnet.overlaps(LINK_LOCAL6) and subnet != LINK_LOCAL6:
        raise Invalid(
            f"invalid subnet {subnet}: it clashes with the link-local subnet {LINK_LOCAL6}"
        )
    return subnet


def usable(ip: IPAddress, subnet: IPNetwork, what: str) -> IPAddress:
    """An address of the subnet that somebody can have.

    Raises:
        Invalid: it is the network's or the broadcast address.
    """
    if reserved(ip, subnet):
        raise Invalid(f"invalid {what} {ip}: it is the network or broadcast address of {subnet}")
    return ip
