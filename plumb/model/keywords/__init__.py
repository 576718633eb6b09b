"""Keyword parameters of the library's verbs: their types, each written once, and their parsers.

The type checker checks them at every call (PEP 692). A value that it did not check, a misspelt
keyword or a number where text is meant, is refused here in one sentence. Text is parsed as the
command line's options are, and values of plumb's own types are taken as they are.

values     text, flags, pairs and references, refused if they are anything else
lifecycle  keywords about restarts, health checks and a container's command
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypedDict

from plumb.address import IPAddress, IPNetwork
from plumb.errors import Invalid
from plumb.model import container_options as own
from plumb.model import ipam, parse
from plumb.model.cnm import Attachment, Network, Pairs, Sandbox
from plumb.model.keywords.values import flag, pairs, reference, refuse_unknown, several, text, texts
from plumb.model.net import attachment as attachments
from plumb.model.ports import PortBinding

Texts = str | Iterable[str]
"""One text, or several."""
Mapped = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names and values, as a mapping or in pairs."""
Joined = str | Network | Attachment
"""A network to be on: by reference, as `--network` takes it, itself, or all that is asked of it."""


class NetworkOptions(TypedDict, total=False):
    """Keywords of `create_network`: the flags of `network create`.

    Attributes:
        subnet, ip_range, gateway: one or several, as text: "10.9.0.0/24", "10.9.0.1".
        aux_addresses: addresses that are not handed out, by name.
        driver: "bridge" where none is named.
        internal, attachable, ingress, config_only: as the flags; False.
        scope: "local" or "swarm"; empty: the driver's own.
        config_from: name of a configuration that it takes over.
        ipv4, ipv6: the address families; None: as the options say, else IPv4 alone.
        options: driver options, as -o takes them.
    """

    subnet: Texts
    ip_range: Texts
    gateway: Texts
    aux_addresses: Mapped | None
    driver: str
    internal: bool
    attachable: bool
    ingress: bool
    scope: str
    config_only: bool
    config_from: str
    ipv4: bool | None
    ipv6: bool | None
    options: Mapped | None
    labels: Mapped | None


class EndpointOptions(TypedDict, total=False):
    """Keywords of `connect`: the flags of `network connect`.

    Attributes:
        ip, ip6: addresses in the network's subnets.
        mac_address: aa:bb:cc:dd:ee:ff.
        link_local: further link-local addresses.
        aliases: network-scoped names.
        links: name and alias of other containers.
        gw_priority: the network with the highest provides the default gateway; 0.
        driver_opts: driver options of the endpoint.
    """

    ip: str | IPv4Address
    ip6: str | IPv6Address
    mac_address: str
    link_local: Texts
    aliases: Texts | None
    links: Mapped
    gw_priority: int
    driver_opts: Mapped


class ContainerOptions(TypedDict, total=False):
    """Keywords of `create` and `run`; one that is not given has the default of Docker's flag.

    Attributes:
        network: its networks; the default network where none is named.
        command: its command, word by word; without one the sandbox just stays.
        publish: ports to publish, as -p takes them; ports: the same, read.
        publish_all: publish all exposed ports.
        exposed: exposed ports, "80/tcp", "7000-7005/udp".
        hostname, domainname: its names; the hostname is the id's first twelve digits.
        mac: the MAC address of its first endpoint.
        dns, dns_each(parse.search_domain), dns_options: lines of its resolv.conf.
        extra_hosts: lines of its hosts file: name and address, or "host-gateway".
        links: name and alias of containers that it shall know.
        environment: NAME=value words, NAME for one that is not set; labels: names and values.
        log_driver: its logging driver: "json-file"; log_opt: its options: "max-size=10m".
        cap_add, cap_drop: capabilities, with or without CAP_; privileged: it has all.
        read_only_host: it sees the host's files read-only; isolate: and only its own processes.
        sysctls: settings of its network namespace, "net.ipv4.ip_forward" or with slashes.
        auto_remove: it is removed when its command ends.
        restart: its restart policy: no, always, unless-stopped, on-failure[:N].
        health_cmd: a line for the shell that tells whether it works; no_healthcheck: there is none.
        health_interval, health_timeout, health_start_period, health_start_interval: seconds, or
        text as 1m30s; health_retries: failures in a row that make it unhealthy.
        stop_signal: the signal that asks its command to end: "TERM"; stop_timeout: seconds until it
        is killed after that; 10.
        user: NAME|UID[:GROUP|GID] that its command runs as; working_dir: the folder it starts in.
        init: accepted as Docker's; every command has a process above it that reaps orphans.
    """

    network: Joined | Iterable[Joined]
    command: Iterable[str]
    publish: Texts
    ports: Iterable[PortBinding]
    publish_all: bool
    exposed: Texts
    hostname: str
    domainname: str
    mac: str
    dns: str | IPAddress | Iterable[str | IPAddress]
    dns_search: Texts
    dns_options: Texts
    extra_hosts: Mapped
    links: Mapped
    environment: Texts
    cap_add: Texts
    cap_drop: Texts
    privileged: bool
    read_only_host: bool
    isolate: bool
    sysctls: Mapped
    labels: Mapped
    auto_remove: bool
    log_driver: str
    log_opt: Texts
    restart: str
    health_cmd: str
    health_interval: str | float
    health_timeout: str | float
    health_retries: int
    health_start_period: str | float
    health_start_interval: str | float
    no_healthcheck: bool
    stop_signal: str
    stop_timeout: int | None
    user: str
    working_dir: str
    init: bool


# -- networks ---------------------------------------------------------------


def network(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the keywords of `create_network` into parameters of `networks.create`.

    Raises:
        Invalid: an unknown keyword, or a value that makes no sense.
    """
    refuse_unknown(options, NetworkOptions, "a network")
    read = {key: NETWORK[key](value, key) for key, value in options.items()}
    pools = ipam.plan_pools(
        read.pop("subnet", ()),
        read.pop("ip_range", ()),
        read.pop("gateway", ()),
        read.pop("aux_addresses", {}),
    )
    return {"pools": pools, **read}


def _subnets(value: object, what: str) -> list[IPNetwork]:
    return [parse.network(each, what.replace("_", "-")) for each in texts(value, what)]


def _gateways(value: object, what: str) -> list[IPAddress]:
    return [ipam.gateway(each) for each in texts(value, what)]


def _family(value: object, what: str) -> bool | None:
    return None if value is None else flag(value, what)


def _mapping(value: object, what: str) -> dict[str, str]:
    return {} if value is None else dict(pairs(value, what))


NETWORK: dict[str, Callable[[object, str], Any]] = {
    "subnet": _subnets,
    "ip_range": _subnets,
    "gateway": _gateways,
    "aux_addresses": _mapping,
    "driver": text,
    "internal": flag,
    "attachable": flag,
    "ingress": flag,
    "scope": text,
    "config_only": flag,
    "config_from": text,
    "ipv4": _family,
    "ipv6": _family,
    "options": _mapping,
    "labels": _mapping,
}


# -- endpoints ---------------------------------------------------------------


def attachment(network: str, options: Mapping[str, Any]) -> Attachment:
    """Parse the keywords of `connect` into an attachment.

    Raises:
        Invalid: an unknown keyword, or a value that makes no sense.
    """
    refuse_unknown(options, EndpointOptions, "an endpoint")
    read = {key: ENDPOINT[key](value, key) for key, value in options.items()}
    return attachments.make_attachment(network, **read)


def _address(value: object, what: str) -> str:
    return str(value) if isinstance(value, IPAddress) else text(value, what)


def _number(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{what} is a whole number, not {value!r}")
    return value


def _aliases(value: object, what: str) -> tuple[str, ...] | None:
    return None if value is None else texts(value, what)


ENDPOINT: dict[str, Callable[[object, str], Any]] = {
    "ip": _address,
    "ip6": _address,
    "mac_address": text,
    "link_local": texts,
    "aliases": _aliases,
    "links": pairs,
    "gw_priority": _number,
    "driver_opts": pairs,
}


# -- containers ---------------------------------------------------------------


def sandbox(
    name: str, options: Mapping[str, Any], usual_log: str = "", usual_log_options: Pairs = ()
) -> Sandbox:
    """A container as asked for, from the keywords of `create`.

    Args:
        usual_log, usual_log_options: `log_driver` and `log_opts` of the settings.

    Raises:
        Invalid: an unknown keyword, or a value that makes no sense.
    """
    refuse_unknown(options, ContainerOptions, "a container")
    plain = {key: value for key, value in options.items() if key in CONTAINER}
    read = {key: CONTAINER[key](value, key) for key, value in plain.items()}
    published = read.pop("publish", ())
    if published:
        read["ports"] = (*read.get("ports", ()), *published)
    driver, log_opt = read.pop("log_driver", ""), read.pop("log_opt", ())
    if driver or log_opt or usual_log or usual_log_options:
        from plumb.model.lifecycle import log_drivers  # lazy: most containers have neither

        read.update(log_drivers.parsed(driver, log_opt, usual_log, usual_log_options))
    argv = read.pop("command", ())
    if len(plain) < len(options):
        from plumb.model.keywords import lifecycle  # lazy: most containers need none of it

        read.update(lifecycle.parsed(options))
    return Sandbox(
        "", text(name, "a container's name"), attachments=read.pop("network", ()), argv=argv, **read
    )


def _networks(value: object, what: str) -> tuple[Attachment, ...]:
    return tuple(
        each if isinstance(each, Attachment) else attachments.attachment(reference(each, what))
        for each in several(value, what, str, Network, Attachment)
    )


def _words(value: object, what: str) -> tuple[str, ...]:
    return tuple(text(each, what) for each in several(value, what))


def _publish(value: object, what: str) -> tuple[PortBinding, ...]:
    return tuple(port for each in texts(value, what) for port in own.published(each))


def _ports(value: object, what: str) -> tuple[PortBinding, ...]:
    found = several(value, what)
    if any(not isinstance(port, PortBinding) for port in found):
        raise Invalid(f"{what} are PortBinding values, not {value!r}", "publish= takes text")
    return tuple(port for port in found if isinstance(port, PortBinding))


def _exposed(value: object, what: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(port for each in texts(value, what) for port in own.exposed(each)))


def _host_name(value: object, what: str) -> str:
    return parse.host_name(given) if (given := text(value, what)) else ""


def _mac(value: object, what: str) -> str:
    return parse.mac(given) if (given := text(value, what)) else ""


def _servers(value: object, what: str) -> tuple[IPAddress, ...]:
    servers = several(value, what, str, IPv4Address, IPv6Address)
    return tuple(parse.address(_address(each, what), "name server") for each in servers)


def _hosts(value: object, what: str) -> Pairs:
    return tuple(own.extra_host(f"{name}:{ip}") for name, ip in pairs(value, what))


def _each(parser: Callable[[str], str]) -> Callable[[object, str], tuple[str, ...]]:
    return lambda value, what: tuple(parser(each) for each in texts(value, what))


def _sysctls(value: object, what: str) -> Pairs:
    return tuple(own.container_sysctl(f"{name}={text}") for name, text in pairs(value, what))


CONTAINER: dict[str, Callable[[object, str], Any]] = {
    "network": _networks,
    "command": _words,
    "publish": _publish,
    "ports": _ports,
    "publish_all": flag,
    "exposed": _exposed,
    "hostname": _host_name,
    "domainname": _host_name,
    "mac": _mac,
    "dns": _servers,
    "dns_search": _each(parse.search_domain),
    "dns_options": _each(parse.line),
    "extra_hosts": _hosts,
    "links": pairs,
    "environment": texts,
    "cap_add": _each(own.capability),
    "cap_drop": _each(own.capability),
    "privileged": flag,
    "read_only_host": flag,
    "isolate": flag,
    "sysctls": _sysctls,
    "labels": pairs,
    "auto_remove": flag,
    "log_opt": texts,
    "log_driver": text,
}
