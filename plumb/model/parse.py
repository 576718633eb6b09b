"""Docker's labels and flags: text in, typed values out; nonsense is refused here at the edge.

Docker ignores an option key that it does not know, so that a slip of the pen silently builds
another network than was asked for. plumb refuses it and names the nearest key that exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv6Address,
    NetmaskValueError,
    ip_address,
    ip_network,
)
from typing import TypeVar

from plumb.address import IPAddress, IPNetwork
from plumb.errors import Invalid
from plumb.model.cnm import Attachment, Pairs

T = TypeVar("T")
A = TypeVar("A", IPv4Address, IPv6Address)
PREFIX = "com.docker.network."
BRIDGE = PREFIX + "bridge."


# -- plain values ---------------------------------------------------------------


def boolean(text: str) -> bool:
    """Parse a truth value as Go's strconv.ParseBool, and so Docker, does.

    Raises:
        ValueError: it is none.
    """
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError("it can be true or false")


def whole(text: str) -> int:
    """A whole number, in ASCII digits."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("it is not a whole number")
    return int(text)


def between(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers within a range."""

    def parse(text: str) -> int:
        number = whole(text)
        if not low <= number <= high:
            raise ValueError(f"it must be in the range {low} to {high}")
        return number

    return parse


def mtu(text: str) -> int | None:
    """An MTU; 0 is the kernel's default. 68 is the least that IPv4 allows (RFC 791)."""
    number = whole(text)
    if number and not 68 <= number <= 65535:
        raise ValueError("an MTU is 68 to 65535, or 0 for the default")
    return number or None


def link_name(text: str) -> str:
    """A link name that the kernel, iptables and a path can all take.

    The kernel allows 15 bytes without blank, slash and colon. A `%` in it is a pattern to the
    kernel, a trailing `+` one to iptables, and a leading `!` or `-` would read as something else.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}", text) or text in (
        "all",
        "default",
        "lo",
    ):
        raise ValueError("a link name is 1 to 15 letters, digits, '_', '.', '-' or '@'")
    return text


def link_prefix(text: str) -> str:
    """The start of a link name, to which a number is put; eth where none is given."""
    if not text:
        return "eth"
    return link_name(text + "9999")[:-4]


def link_names(text: str) -> tuple[str, ...]:
    """Link names parted by colons."""
    return tuple(link_name(word) for word in text.split(":") if word)


def ipv4(text: str) -> IPv4Address:
    """An IPv4 address."""
    return IPv4Address(text)


def source4(text: str) -> IPv4Address:
    """An IPv4 address that packets can come from."""
    return _source(ipv4(text))


def source6(text: str) -> IPv6Address:
    """An IPv6 address that packets can come from."""
    ip = _source(ipv6(text))
    if ip.ipv4_mapped:
        raise ValueError("it is an IPv4 address")
    return ip


def _source(ip: A) -> A:
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback:
        raise ValueError("no packet can come from it")
    return ip


def ipv6(text: str) -> IPv6Address:
    """An IPv6 address without a zone."""
    if "%" in text:
        raise ValueError("an address without a zone is expected")
    return IPv6Address(text)


def address(text: str, what: str = "IP address") -> IPAddress:
    """An address of either family.

    Raises:
        Invalid: it is none.
    """
    try:
        return ipv6(text) if ":" in text else ipv4(text)
    except ValueError:
        raise Invalid(f"invalid {what} {text!r}") from None


def network(text: str, what: str = "subnet") -> IPNetwork:
    """A subnet in CIDR notation, its host bits clear.

    Raises:
        Invalid: it is none, or has host bits set; the message says what it should be.
    """
    host, slash, length = text.partition("/")
    try:
        if not slash or not re.fullmatch("[0-9]{1,3}", length) or "%" in host:
            raise ValueError
        ip_address(host)
        net = ip_network(text, strict=False)
    except (ValueError, AddressValueError, NetmaskValueError):
        raise Invalid(
            f"invalid {what} {text!r}: a subnet is written like 172.20.0.0/24 or fd00:20::/64"
        ) from None
    if net.network_address != ip_address(host):
        raise Invalid(f"invalid {what} {text}: it should be {net}")
    return net


def mac(text: str) -> str:
    """A unicast MAC address, as lower-case hex with colons.

    Raises:
        Invalid: it is none, or a group address, which no interface can have.
    """
    plain = text.lower().replace("-", ":")
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", plain) or plain == "00:00:00:00:00:00":
        raise Invalid(f"invalid MAC address {text!r}: it is written like 02:42:ac:11:00:02")
    if int(plain[:2], 16) & 1:
        raise Invalid(f"invalid MAC address {text}: it is a group address")
    return plain


def object_name(text: str, what: str) -> str:
    """A name for a container: a letter or digit first, then letters, digits, '_', '.' or '-'."""
    if not re.fullmatch(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", text):
        raise Invalid(f"invalid {what} name {text!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return text.lstrip("/")


def network_name(text: str) -> str:
    """A name for a network: nearly anything that is not blank and can be printed on one line."""
    if not text.strip():
        raise Invalid("invalid name: name is empty")
    if text != text.strip() or not text.isprintable() or len(text) > 255:
        raise Invalid(
            f"invalid name {text!r}: a network name is printable text without blanks around it"
        )
    return text


def host_name(text: str) -> str:
    """A host name that sethostname and a hosts file can take."""
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62})", text) or ".." in text:
        raise Invalid(f"invalid hostname {text!r}: it is 1 to 63 letters, digits, '-', '_' or '.'")
    return text


def pairs(items: Iterable[str], what: str) -> Pairs:
    """KEY=VALUE words; of a repeated key the last one counts, at the place of the first."""
    found: dict[str, str] = {}
    for item in items:
        key, _, value = item.partition("=")
        if not key:
            raise Invalid(f"invalid {what} {item!r}: it is written KEY=VALUE")
        found[key] = value
    return tuple(found.items())


# -- labels ---------------------------------------------------------------


def parsed(key: str, text: str, parser: Callable[[str], T]) -> T:
    """A label's value.

    Raises:
        Invalid: Docker's words for a label that cannot be parsed.
    """
    try:
        return parser(text)
    except ValueError as error:
        raise Invalid(f"failed to parse {key} value: {text!r} ({error})") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names what was probably meant."""
    import difflib  # only for somebody who has mistyped

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""


# -- endpoints ---------------------------------------------------------------


ENDPOINT = PREFIX + "endpoint."


def interface_sysctls(text: str) -> Pairs:
    """`net.ipv4.conf.IFNAME.log_martians=1,…` as names with slashes, IFNAME still in them."""
    found = []
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        words = name.split(".")
        if (
            not value.strip()
            or not value.isprintable()
            or len(words) < 5
            or not re.fullmatch(r"[A-Za-z0-9_.-]+", name)
            or "" in words
        ):
            raise ValueError(
                f"invalid sysctl {item!r}: it is written net.ipv4.conf.IFNAME.key=value"
            )
        if words[0] != "net" or words[1] not in ("ipv4", "ipv6", "mpls"):
            raise ValueError(
                f"unrecognised network interface sysctl {name!r}: "
                "it begins with net.ipv4, net.ipv6 or net.mpls"
            )
        if len(words) != 5 or words[3].upper() != "IFNAME":
            raise ValueError(f"sysctl {name!r} must have IFNAME in place of the interface's name")
        found.append((f"net/{words[1]}/{words[2]}/IFNAME/{words[4]}", value))
    return tuple(found)


def endpoint_options(attachment: Attachment, options: Pairs) -> Attachment:
    """An attachment with its driver options.

    Raises:
        Invalid: an unknown key, or a value that cannot be parsed.
    """
    known = {ENDPOINT + "ifname", ENDPOINT + "sysctls"}
    for key, text in options:
        if key == ENDPOINT + "ifname":
            attachment = replace(attachment, ifname=parsed(key, text, link_name))
        elif key == ENDPOINT + "sysctls":
            attachment = replace(attachment, sysctls=parsed(key, text, interface_sysctls))
        else:
            raise Invalid(f"unknown option {key!r} of an endpoint", nearest(key, known))
    return replace(attachment, driver_opts=options)


ATTACHMENT_KEYS = (
    "name",
    "alias",
    "ip",
    "ip6",
    "mac-address",
    "link-local-ip",
    "driver-opt",
    "gw-priority",
)


def attachment(text: str) -> Attachment:
    """`--network NAME` or the long form `--network name=N,alias=A,ip=…,driver-opt=K=V,…`.

    Raises:
        Invalid: a field that there is not, or a value that makes no sense.
    """
    if "=" not in text:
        return Attachment(text)
    fields: dict[str, list[str]] = {}
    for word in comma_separated(text):
        key, equals, value = word.partition("=")
        if not equals or key.lower() not in ATTACHMENT_KEYS:
            raise Invalid(f"invalid field {word!r} in --network", nearest(key, ATTACHMENT_KEYS))
        fields.setdefault(key.lower(), []).append(value)
    if not fields.get("name"):
        raise Invalid(f"--network {text!r} does not say name=")
    return make_attachment(
        fields["name"][-1],
        ip=_last(fields, "ip"),
        ip6=_last(fields, "ip6"),
        mac_address=_last(fields, "mac-address"),
        link_local=fields.get("link-local-ip", ()),
        aliases=fields.get("alias"),
        gw_priority=_last(fields, "gw-priority"),
        driver_opts=pairs(fields.get("driver-opt", ()), "driver option"),
    )


def _last(fields: Mapping[str, list[str]], key: str) -> str:
    return fields.get(key, [""])[-1]


def comma_separated(text: str) -> list[str]:
    """Words parted by commas; a word in double quotes may hold some."""
    words = re.findall(r'(?:[^,"]|"[^"]*")+', text)
    return [word.replace('"', "") for word in words]


def make_attachment(
    name: str,
    *,
    ip: str = "",
    ip6: str = "",
    mac_address: str = "",
    link_local: Iterable[str] = (),
    aliases: Iterable[str] | None = None,
    links: Pairs = (),
    gw_priority: str | int = "",
    driver_opts: Pairs = (),
) -> Attachment:
    """An attachment from the words of `network connect` or `run`.

    Raises:
        Invalid: with Docker's words.
    """
    try:
        made = Attachment(
            name,
            ip=ipv4(ip) if ip else None,
            ip6=ipv6(ip6) if ip6 else None,
            mac=mac(mac_address) if mac_address else "",
            gw_priority=whole(str(gw_priority)) if gw_priority != "" else 0,
            link_local=tuple(address(word, "link-local IP address") for word in link_local),
            aliases=None if aliases is None else tuple(alias(word) for word in aliases),
            links=tuple(links),
        )
    except AddressValueError:
        wrong = ("IPv4", ip) if ip and not _is(ipv4, ip) else ("IPv6", ip6)
        raise Invalid(f"invalid {wrong[0]} address: {wrong[1]}") from None
    except ValueError as error:
        raise Invalid(f"invalid endpoint settings: {error}") from None
    for found in made.link_local:
        if not found.is_link_local:
            raise Invalid(f"invalid link-local IP address: {found}")
    if made.ip6 is not None and made.ip6.ipv4_mapped:
        raise Invalid(f"invalid IPv6 address: {ip6}")
    for wanted in (made.ip, made.ip6):
        if wanted is not None and (
            wanted.is_multicast or wanted.is_unspecified or wanted.is_loopback
        ):
            raise Invalid(f"invalid IP address {wanted}: no host can have it")
    return endpoint_options(made, driver_opts)


def _is(parser: Callable[[str], object], text: str) -> bool:
    try:
        parser(text)
    except ValueError:
        return False
    return True


def alias(text: str) -> str:
    """A network-scoped name."""
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", text) or ".." in text:
        raise Invalid(f"invalid alias {text!r}: it is a DNS name")
    return text
