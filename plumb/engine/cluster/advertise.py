"""The address by which other nodes reach this host: given, of a link, or the only one there is.

In Docker's words and by its rules (moby, daemon/cluster/listen_addr.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from plumb.address import IPAddress, IPInterface, IPNetwork
from plumb.errors import Invalid
from plumb.kernel.net.inventory import LinkInventory
from plumb.model.observations import Netns

BAD_ADVERTISE = (
    "advertise address must be a non-zero IP address or network interface "
    "(with optional port number)"
)
BAD_DATA_PATH = (
    "data path address must be a non-zero IP address or network interface (without a port number)"
)
BAD_LISTEN = "listen address must be an IP address or network interface (with optional port number)"
NO_IP = "could not find the system's IP address"
SPECIFY = "specify one with --advertise-addr"

Addresses = Sequence[tuple[str, IPInterface]]


def system_addresses() -> Addresses:
    """List the addresses of this network namespace, with their links."""
    with LinkInventory(Netns("host", "")) as inventory:
        return inventory.addresses(inventory.links())


def advertised(text: str, port: int, own: Sequence[IPNetwork] = ()) -> tuple[IPAddress, int]:
    """Resolve --advertise-addr.

    Args:
        text: IP, LINK, IP:PORT or LINK:PORT; empty: the only address of this host.
        port: where the text has none.
        own: subnets of plumb's networks, whose addresses nobody else reaches.

    Raises:
        Invalid: it is none, or there is more than one to choose from.
    """
    known = system_addresses()
    if not text:
        return _only(known, own), port
    host, port = _parted(text, port, BAD_ADVERTISE)
    found = _resolved(host, known, BAD_ADVERTISE)
    if found.is_unspecified:
        raise Invalid(BAD_ADVERTISE)
    if not found.is_loopback and found not in (ip.ip for _, ip in known):
        raise Invalid(
            f"advertise address {found} is not one of this host's",
            "'ip address' shows those that it has; other nodes send VXLAN packets there",
        )
    return found, port


def data_path(text: str) -> IPAddress:
    """Resolve --data-path-addr: IP or LINK."""
    found = _resolved(text, system_addresses(), BAD_DATA_PATH)
    if found.is_unspecified:
        raise Invalid(BAD_DATA_PATH)
    return found


def listening(text: str, port: int) -> tuple[IPAddress, int]:
    """Resolve --listen-addr: IP or LINK, with or without a port."""
    host, port = _parted(text, port, BAD_LISTEN)
    return _resolved(host, system_addresses(), BAD_LISTEN), port


def _parted(text: str, port: int, words: str) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text.removeprefix("[").removesuffix("]"), port
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 1 << 16:
        raise Invalid(words)
    return host.removeprefix("[").removesuffix("]"), int(number)


def _resolved(host: str, known: Addresses, words: str) -> IPAddress:
    try:
        return ip_address(host)
    except ValueError:
        pass
    of_link = [ip.ip for link, ip in known if link == host and not ip.ip.is_link_local]
    for version in (4, 6):
        found = [ip for ip in of_link if ip.version == version]
        if len(found) > 1:
            raise Invalid(
                f"interface {host} has more than one IPv{version} address "
                f"({found[0]} and {found[1]})",
                "name the address instead",
            )
        if found:
            return found[0]
    if any(link == host for link, _ in known):
        raise Invalid(f"interface {host} has no usable IPv4 or IPv6 address")
    raise Invalid(words)


def _only(known: Addresses, own: Sequence[IPNetwork]) -> IPAddress:
    """The only address that other hosts may reach this one by; IPv4 before IPv6."""
    usable = [
        (link, ip.ip)
        for link, ip in known
        if not (ip.ip.is_loopback or ip.ip.is_link_local or ip.ip.is_multicast)
        and not any(ip.ip.version == net.version and ip.ip in net for net in own)
    ]
    for version in (4, 6):
        found = [(link, ip) for link, ip in usable if ip.version == version]
        if len(found) > 1:
            raise Invalid(_several(found[0], found[1]), "the address must be one that others reach")
        if found:
            return found[0][1]
    raise Invalid(NO_IP, SPECIFY)


def _several(one: tuple[str, IPAddress], other: tuple[str, IPAddress]) -> str:
    where = (
        f"on interface {one[0]} ({one[1]} and {other[1]})"
        if one[0] == other[0]
        else f"on different interfaces ({one[1]} on {one[0]} and {other[1]} on {other[0]})"
    )
    return (
        "could not choose an IP address to advertise since this system has multiple addresses "
        f"{where} - {SPECIFY}"
    )
