"""Documents of Docker's Engine API as containers and networks.

The fields are those of GET /networks and GET /containers/{id}/json, which Docker 20.10 has as
today's main has them, and which Podman serves as well. Docker calls the namespace of a container
its sandbox; the id of the container is the id of plumb's sandbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plumb.address import IPAddress
from plumb.drivers import DRIVERS
from plumb.errors import Invalid
from plumb.foreign import fields
from plumb.frozen import frozen, replace
from plumb.model.cnm import Attachment, Endpoint, Ends, Network, Pool, Sandbox, Status
from plumb.model.net.gateways import gateway_of
from plumb.model.ports import Port, PortBinding

BRIDGE_NAME = "com.docker.network.bridge.name"
UNKNOWN_DRIVER = "null"
"""Driver of plumb's for networks of a driver that it does not have: one without a link."""
RUNNING = ("running", "paused", "restarting")


@frozen
class Described:
    """A container as its document describes it.

    Attributes:
        box: the container; pid: its first process, 0 if it does not run.
        ends: its endpoints and their networks, with the published ports.
    """

    box: Sandbox
    pid: int
    ends: tuple[tuple[Endpoint, Network], ...]


def network(document: Any) -> Network:
    """Read a network; one of a driver whose options plumb does not know has none."""
    driver = fields.text(document, "Driver")
    known = driver if driver in DRIVERS else UNKNOWN_DRIVER
    options = fields.texts(document, "Options")
    net = Network(
        fields.text(document, "Id"),
        fields.text(document, "Name"),
        known,
        pools=tuple(_pools(document)),
        ipv4=fields.field(document, "EnableIPv4") is not False,
        ipv6=fields.truth(document, "EnableIPv6"),
        internal=fields.truth(document, "Internal"),
        attachable=fields.truth(document, "Attachable"),
        options=tuple(options.items()) if DRIVERS[known].stored else (),
        labels=tuple(fields.texts(document, "Labels").items()),
        created=fields.text(document, "Created"),
    )
    return _with_own_options(net, options)


def _with_own_options(net: Network, options: Mapping[str, str]) -> Network:
    """Add the driver's own options; plumb leaves out those that it cannot parse."""
    driver = DRIVERS[net.driver]
    if not driver.stored:
        return net
    own = {}
    for key, value in options.items():
        if key in driver.keys:
            name, parser = driver.keys[key]
            try:
                own[name] = parser(value)
            except (Invalid, ValueError):
                continue
    return replace(net, **{driver.stored: replace(getattr(net, driver.stored), **own)})


def _pools(document: Any) -> Iterator[Pool]:
    for config in fields.sequence(document, "IPAM", "Config"):
        subnet = fields.subnet(fields.text(config, "Subnet"))
        if subnet is None:
            continue
        spoken_for = {
            name: ip
            for name, value in fields.texts(config, "AuxiliaryAddresses").items()
            if (ip := fields.address(value)) is not None
        }
        yield Pool(
            subnet,
            fields.subnet(fields.text(config, "IPRange")),
            fields.address(fields.text(config, "Gateway")),
            tuple(spoken_for.items()),
        )


def with_gateways(net: Network, ends: Iterable[Any]) -> Network:
    """Add gateways that only the containers' endpoints tell.

    Docker 20.10 leaves that of the default network out of the network's own document.

    Args:
        ends: the documents of endpoints on it.
    """
    gateways = [
        ip
        for end in ends
        for key in ("Gateway", "IPv6Gateway")
        if (ip := fields.address(fields.text(end, key))) is not None
    ]
    pools = (
        replace(pool, gateway=next((ip for ip in gateways if ip in pool.subnet), None))
        if pool.gateway is None
        else pool
        for pool in net.pools
    )
    return replace(net, pools=tuple(pools))


def container(document: Any, networks: Mapping[str, Network]) -> Described:
    """Read a container.

    Args:
        networks: the engine's networks by id.
    """
    box = _box(document)
    pid = fields.number(document, "State", "Pid")
    ends = [
        (end, networks[end.network]) for end in _endpoints(box, document) if end.network in networks
    ]
    return Described(box, pid, tuple(_publishing(ends, list(_ports(document)))))


def _box(document: Any) -> Sandbox:
    host, config = (fields.mapping(document, key) for key in ("HostConfig", "Config"))
    mode = fields.text(host, "NetworkMode")
    servers = (fields.address(each) for each in fields.words(host, "Dns"))
    return Sandbox(
        fields.text(document, "Id"),
        fields.text(document, "Name").removeprefix("/"),
        mode=mode if mode in ("host", "none") or mode.startswith("container:") else "network",
        attachments=tuple(_attachments(document)),
        hostname=fields.text(config, "Hostname"),
        domainname=fields.text(config, "Domainname"),
        privileged=fields.truth(host, "Privileged"),
        ports=tuple(_bindings(host)),
        dns=tuple(ip for ip in servers if ip is not None),
        dns_search=fields.words(host, "DnsSearch"),
        dns_options=fields.words(host, "DnsOptions"),
        extra_hosts=tuple(_pair(each) for each in fields.words(host, "ExtraHosts")),
        labels=tuple(fields.texts(config, "Labels").items()),
        created=fields.text(document, "Created"),
        status=_status(document),
        error=fields.sentence(document, "State", "Error"),
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


def _status(document: Any) -> Status:
    if fields.truth(document, "State", "Running"):
        return Status.RUNNING
    return Status.RUNNING if fields.text(document, "State", "Status") in RUNNING else Status.EXITED


def _attachments(document: Any) -> Iterator[Attachment]:
    for name, end in fields.mapping(document, "NetworkSettings", "Networks").items():
        yield Attachment(
            fields.text(end, "NetworkID") or name,
            aliases=fields.words(end, "DNSNames") or fields.words(end, "Aliases"),
            links=tuple(_pair(each) for each in fields.words(end, "Links")),
            gw_priority=fields.number(end, "GwPriority"),
        )


def _endpoints(box: Sandbox, document: Any) -> Iterator[Endpoint]:
    for end in fields.mapping(document, "NetworkSettings", "Networks").values():
        four, six = fields.by_version(
            fields.on_subnet(fields.text(end, "IPAddress"), fields.number(end, "IPPrefixLen")),
            fields.on_subnet(
                fields.text(end, "GlobalIPv6Address"), fields.number(end, "GlobalIPv6PrefixLen")
            ),
        )
        ident, net = fields.text(end, "EndpointID"), fields.text(end, "NetworkID")
        if ident and (four or six):
            yield Endpoint(
                ident,
                net,
                box.id,
                "",
                "",
                fields.text(end, "MacAddress"),
                four,
                six,
                gw_priority=fields.number(end, "GwPriority"),
            )


def _port(key: str) -> tuple[int, str]:
    number, _, protocol = key.partition("/")
    return (int(number) if number.isdecimal() else 0), protocol or "tcp"


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _bindings(host: Mapping[str, Any]) -> Iterator[PortBinding]:
    for key in fields.mapping(host, "PortBindings"):
        port, protocol = _port(key)
        for binding in fields.sequence(host, "PortBindings", key):
            first = _whole(fields.text(binding, "HostPort")) or None
            yield PortBinding(
                port, protocol, fields.address(fields.text(binding, "HostIp")), first, first
            )


def _ports(document: Any) -> Iterator[Port]:
    """Published ports as they are, each at an address of the host."""
    published = fields.mapping(document, "NetworkSettings", "Ports")
    for key in published:
        port, protocol = _port(key)
        for binding in fields.sequence(published, key):
            ip = fields.address(fields.text(binding, "HostIp") or "0.0.0.0")
            number = _whole(fields.text(binding, "HostPort"))
            if ip is not None and number:
                yield Port(port, protocol, ip, number)


def _publishing(ends: Ends, ports: list[Port]) -> Ends:
    """Give the ports to the endpoint that has the gateway of the port's address family.

    A port at an IPv6 address leads to the IPv4 address of a container that has no other.
    """

    def serves(ip: IPAddress) -> Endpoint | None:
        found = gateway_of(ends, ip.version) or gateway_of(ends, 4)
        return found[0] if found else ends[0][0] if ends else None

    return [
        (replace(end, ports=tuple(port for port in ports if serves(port.host_ip) is end)), net)
        for end, net in ends
    ]
