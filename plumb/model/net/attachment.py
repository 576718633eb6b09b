"""Attachments: the words of `--network` and `network connect`, read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import AddressValueError

from plumb.address import IPAddress
from plumb.errors import Invalid, beginning
from plumb.model.cnm import Attachment, Pairs
from plumb.model.parse import (
    ENDPOINT,
    Unfit,
    address,
    comma_separated,
    ipv4,
    ipv6,
    link_name,
    mac,
    nearest,
    pairs,
    parsed,
    whole,
)


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
            raise Unfit("it begins with net.ipv4, net.ipv6 or net.mpls", _unrecognised(item))
        if len(words) != 5 or words[3].upper() != "IFNAME":
            raise Unfit("IFNAME stands for the interface's name", _unrecognised(item))
        found.append((f"net/{words[1]}/{words[2]}/IFNAME/{words[4]}", value))
    return tuple(found)


def _unrecognised(sysctl: str) -> str:
    said = sysctl.replace("{", "{{").replace("}", "}}")
    return (
        f"unrecognised network interface sysctl '{said}'; represent 'net.X.Y.ethN.Z=V' as "
        "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
    )


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
            with beginning(f"invalid config for network {attachment.network}: {SETTINGS}"):
                attachment = replace(attachment, sysctls=parsed(key, text, interface_sysctls))
        else:
            raise Invalid(f"unknown option {key!r} of an endpoint", nearest(key, known))
    return replace(attachment, driver_opts=options)


SETTINGS = "invalid endpoint settings: "
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

    Docker turns the fields of the long form into lower case, names and values.

    Raises:
        Invalid: a field that there is not, or a value that makes no sense.
    """
    if not text:
        raise Invalid("no name set for network")
    fields = long_form(text)
    if not fields:
        return Attachment(text)
    return make_attachment(
        fields["name"][-1],
        ip=_last(fields, "ip"),
        ip6=_last(fields, "ip6"),
        mac_address=_last(fields, "mac-address"),
        link_local=fields.get("link-local-ip", ()),
        aliases=fields.get("alias"),
        gw_priority=_last(fields, "gw-priority"),
        driver_opts=driver_options(fields.get("driver-opt", ())),
    )


def driver_options(words: Iterable[str]) -> Pairs:
    """Parse KEY=VALUE words of `--driver-opt`.

    Raises:
        Invalid: one is none.
    """
    words = tuple(words)
    if not all(word.find("=") > 0 for word in words):
        raise Invalid("invalid key/value pair format in driver options")
    return pairs(words, "driver option")


def long_form(text: str) -> Mapping[str, list[str]]:
    """Fields of the long form of `--network`; none where it is a name.

    Raises:
        Invalid: a field that there is not, or no name.
    """
    fields: dict[str, list[str]] = {}
    if not re.search(r"\w=\w", text):
        return fields
    for word in comma_separated(text.lower()):
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f"invalid field {word}", "it is written KEY=VALUE")
        if key.strip() not in ATTACHMENT_KEYS:
            raise Invalid(f"invalid field key {key}", nearest(key, ATTACHMENT_KEYS))
        fields.setdefault(key.strip(), []).append(value.strip())
    if not fields.get("name", [""])[-1]:
        raise Invalid("network name/id is not specified", "name= is missing")
    return fields


def _last(fields: Mapping[str, list[str]], key: str) -> str:
    return fields.get(key, [""])[-1]


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
            link_local=tuple(_link_local(word) for word in link_local),
            aliases=None if aliases is None else tuple(alias(word) for word in aliases),
            links=tuple(links),
        )
    except AddressValueError:
        raise _no_address(name, ip, ip6) from None
    except ValueError as error:
        raise Invalid(f"{SETTINGS}{error}") from None
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


def _no_address(network: str, ip: str, ip6: str) -> Invalid:
    """The error for one of two addresses that is none, or one of the other family."""
    version, text = ("4", ip) if ip and not _is(ipv4, ip) else ("6", ip6)
    if not _is(ipv6 if version == "4" else ipv4, text):
        return Invalid(f'ParseAddr("{text}"): unable to parse IP')
    return Invalid(
        f"invalid config for network {network}: {SETTINGS}* invalid IPv{version} address: {text} "
        f"* no configured subnet contains IP address {text}"
    )


def _link_local(text: str) -> IPAddress:
    try:
        return address(text)
    except Invalid:
        raise Invalid(f'ParseAddr("{text}"): unable to parse IP') from None


def _is(parser: Callable[[str], object], text: str) -> bool:
    try:
        parser(text)
    except ValueError:
        return False
    return True


def alias(text: str) -> str:
    """A network-scoped name.

    Docker takes any text; a name that no question can ask for, such as an empty one, is only shown.
    """
    if not text.isprintable() or len(text) > 253:
        raise Invalid(f"invalid alias {text!r}: it is text that can be printed")
    return text
