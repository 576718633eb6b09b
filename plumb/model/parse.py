"""Docker's labels and flags: text in, typed values out; nonsense is refused here at the edge.

Docker ignores an option key that it does not know, so that a slip of the pen silently builds
another network than was asked for. plumb refuses it and names the nearest key that exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
from plumb.model.cnm import Pairs

T = TypeVar("T")
A = TypeVar("A", IPv4Address, IPv6Address)
PREFIX = "com.docker.network."
VXLANID_LIST = "com.docker.network.driver.overlay.vxlanid_list"
INGRESS_SOURCE = "plumb.ingress.source"
BRIDGE = PREFIX + "bridge."
ENDPOINT = PREFIX + "endpoint."


class Unfit(ValueError):
    """Value that a parser refuses.

    Attributes:
        sentence: Docker's words for a label with that value; {key} and {text} stand in it.
    """

    def __init__(self, why: str, sentence: str) -> None:
        super().__init__(why)
        self.sentence = sentence


FAILED = "failed to parse {key} value: {text} "

# -- plain values ---------------------------------------------------------------


def ingress_source(text: str) -> bool:
    """Parse the option plumb.ingress.source: True if tasks are to see a published port's client.

    Raises:
        Invalid: it is neither "nat", the default, nor "preserve".
    """
    if text not in ("nat", "preserve"):
        raise Invalid(f"invalid {INGRESS_SOURCE} value {text}", "it is nat or preserve")
    return text == "preserve"


def boolean(text: str) -> bool:
    """Parse a truth value as Go's strconv.ParseBool, and so Docker, does.

    Raises:
        ValueError: it is none.
    """
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise Unfit(
        "it can be true or false", FAILED + '(strconv.ParseBool: parsing "{text}": invalid syntax)'
    )


def flag(text: str) -> bool:
    """An option that need not have a value, as in `--opt encrypted`."""
    return boolean(text) if text else True


def whole(text: str) -> int:
    """A whole number, in ASCII digits."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise Unfit(
            "it is not a whole number", FAILED + '(strconv.Atoi: parsing "{text}": invalid syntax)'
        )
    return int(text)


def between(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers within a range."""

    def parse(text: str) -> int:
        number = whole(text)
        if not low <= number <= high:
            within = f"must be in the range {low} to {high}"
            raise Unfit(f"it {within}", f"{{key}} {within}")
        return number

    return parse


def mtu(text: str) -> int | None:
    """An MTU; 0 is the kernel's default. 68 is the least that IPv4 allows (RFC 791)."""
    number = whole(text)
    if number and not 68 <= number <= 65535:
        raise Unfit("an MTU is 68 to 65535, or 0 for the default", "invalid MTU number: {text}")
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
        raise Unfit(
            "a link name is 1 to 15 letters, digits, '_', '.', '-' or '@'",
            "numerical result out of range" if len(text) > 15 else "invalid argument",
        )
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


def host_address(text: str) -> IPAddress:
    """An address of the host, of either family, on which ports are published.

    An IPv4 address in IPv6's spelling (RFC 4291, 2.5.5.2) is the IPv4 address, as in Docker.
    """
    try:
        ip = ipv6(text) if ":" in text else ipv4(text)
    except ValueError as error:
        raise Unfit(str(error), FAILED + "(nil ip)") from None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


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
        written = "a subnet is written like 172.20.0.0/24 or fd00:20::/64"
        if what == "ip-range":
            raise Invalid(f"invalid CIDR address: {text}", written) from None
        if what == "subnet":
            raise Invalid(f'netip.ParsePrefix("{text}"): {_no_prefix(text)}', written) from None
        raise Invalid(f"invalid {what} {text!r}: {written}") from None
    if net.network_address != ip_address(host):
        checked = "invalid network config: " if what == "subnet" else ""
        raise Invalid(f"{checked}invalid {what} {text}: it should be {net}")
    return net


def _no_prefix(text: str) -> str:
    """Reason for which a text is no subnet, in the words of Go's netip."""
    host, slash, length = text.partition("/")
    if not slash:
        return "no '/'"
    try:
        address(host)
    except Invalid:
        return f'ParseAddr("{host}"): unable to parse IP'
    return (
        "prefix length out of range" if length.isdecimal() else f'bad bits after slash: "{length}"'
    )


def mac(text: str) -> str:
    """A unicast MAC address, as lower-case hex with colons.

    Raises:
        Invalid: it is none, or a group address, which no interface can have.
    """
    plain = text.lower().replace("-", ":")
    if re.fullmatch(r"([0-9a-f]{4}\.){2}[0-9a-f]{4}", plain):
        plain = ":".join(re.findall("..", plain.replace(".", "")))
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", plain) or plain == "00:00:00:00:00:00":
        raise Invalid(f"{text} is not a valid mac address", "it is written like 02:42:ac:11:00:02")
    if int(plain[:2], 16) & 1:
        raise Invalid(f"invalid MAC address {text}: it is a group address")
    return plain


def object_name(text: str, what: str) -> str:
    """A name for a container: a letter or digit first, then letters, digits, '_', '.' or '-'."""
    if not re.fullmatch(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", text):
        raise Invalid(f"invalid {what} name {text!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return text.lstrip("/")


def container_name(text: str) -> str:
    """A name for a new container: an object name of two characters or more, as in Docker."""
    if not re.fullmatch(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+", text):
        raise Invalid(
            f"Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            "it has two characters at least",
        )
    return text


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
    """A host name that sethostname and a line of a hosts file can take.

    Docker takes any text, though few programs take one with a blank in it.
    """
    if not text or not text.isprintable() or len(text.encode()) > 64:
        if len(text.encode()) > 64:
            raise Invalid(f'hostname "{text}" is too long (maximum 64 bytes)')
        raise Invalid(f"invalid hostname {text!r}: it is 1 to 64 bytes that can be printed")
    return text


DOMAIN_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"


def search_domain(text: str) -> str:
    """A domain of resolv.conf's search line, without the dot at its end; "." is the empty list.

    Raises:
        Invalid: with Docker's words.
    """
    domain = text.strip(" ")
    if domain == ".":
        return domain
    domain = domain.removesuffix(".")
    named = re.fullmatch(rf"{DOMAIN_LABEL}(\.{DOMAIN_LABEL})*", domain)
    if not named or not re.search("[A-Za-z]", domain) or len(domain) > 254:
        raise Invalid(f"{text} is not a valid domain")
    return domain


def line(text: str) -> str:
    """Text for a line of a file, which must not become two."""
    if not text.isprintable():
        raise Invalid(f"invalid text {text!r}: it must be one line that can be printed")
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


def label(text: str) -> tuple[str, str]:
    """A label, KEY or KEY=VALUE.

    Raises:
        Invalid: it has no key.
    """
    key, _, value = text.partition("=")
    if not key.strip():
        raise Invalid(f"invalid label '{text}': empty name", "it is written KEY=VALUE")
    return key, value


# -- labels ---------------------------------------------------------------


def parsed(key: str, text: str, parser: Callable[[str], T]) -> T:
    """A label's value.

    Raises:
        Invalid: Docker's words for a label that cannot be parsed.
    """
    try:
        return parser(text)
    except Unfit as error:
        said = error.sentence.format(key=key, text=text)
        raise Invalid(said, str(error) if key in said else f"{key} is '{text}': {error}") from None
    except ValueError as error:
        raise Invalid(FAILED.format(key=key, text=text) + f"({error})") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names what was probably meant."""
    import difflib  # only for somebody who has mistyped

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""


def comma_separated(text: str) -> list[str]:
    """Fields parted by commas; one in double quotes may hold some. An empty field is one too."""
    fields = re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', text)
    return [field.replace('"', "") for field in fields]
