"""Names: the embedded DNS server of a sandbox, and the names that it knows.

A program in a container sends queries to 127.0.0.11, port 53. No socket listens there. The agent
has two sockets in the sandbox, at the same address and arbitrary ports, and the sandbox's own NAT
rules rewrite queries to them, and the replies' source back: so port 53 of the container stays free.

The agent knows each endpoint's names on its network. Queries for names that no network of the
sandbox has go to the servers that the container would have asked otherwise, and the agent passes
their replies on.
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address
from typing import ClassVar, NamedTuple

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.things import Key, Stage, namespace_key
from plumb.things.host_ports import OfAgent

ADDRESS = IPv4Address("127.0.0.11")
"""Address at which programs in a container find the server."""


class Upstream(NamedTuple):
    """Server that queries are forwarded to.

    Attributes:
        ip: its address; the port is 53.
        inside: True if it is asked from the sandbox (the user named it), False from the host (it is
            the host's own, perhaps on its loopback).
    """

    ip: IPAddress
    inside: bool


class NamedPort(NamedTuple):
    """Port with a name, for SRV records.

    Attributes:
        name: the port's name; protocol: "tcp", "udp" or "sctp".
    """

    name: str
    protocol: str
    port: int


@frozen
class Resolver(OfAgent):
    """Embedded DNS server of a sandbox.

    Its sockets keep the sandbox's netns alive: so plumb removes it in a step of its own, before the
    netns.

    Attributes:
        agent: the agent's folder.
        ns: path of the sandbox's netns.
        udp, tcp: the ports that it listens on; ip: the address.
        networks: ids of the networks whose names it knows, in search order.
        links: names that only this sandbox knows: network, alias, and the name that it stands for
            there (`--link`).
        upstreams: servers for all other names, in order.
        outside: True if the sandbox has a way out; if not, the host's servers are not asked for it.
        ndots: True if the user has set ndots: the server does not forward names without a dot, as
            the search domains are for them.
    """

    stage: ClassVar = Stage.SERVICE
    agent: str
    ns: str
    udp: int
    tcp: int
    networks: tuple[str, ...] = ()
    links: tuple[tuple[str, str, str], ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    outside: bool = True
    ndots: bool = False
    ip: IPv4Address = ADDRESS

    @cached_property
    def key(self) -> Key:
        return ("resolver", self.ns)

    @property
    def stands_on(self) -> tuple[Key, ...]:
        return (namespace_key(self.ns),)

    def __str__(self) -> str:
        return f"resolver {self.ip} in {self.ns}"


@frozen
class Names(OfAgent):
    """Names of an endpoint on its network.

    Attributes:
        agent: the agent's folder.
        endpoint: its id.
        network, title: the network's id and its name; "NAME.TITLE" is a name as well.
        names: the first is the reverse name of its addresses.
        ips: the addresses of the names.
        ports: named ports of a service, for SRV.
        service: True for the names of a service: its addresses have other reverse names or none,
            and the names are known even while it has no address.
    """

    stage: ClassVar = Stage.SERVICE
    agent: str
    endpoint: str
    network: str
    title: str
    names: tuple[str, ...]
    ips: tuple[IPAddress, ...]
    ports: tuple[NamedPort, ...] = ()
    service: bool = False

    @cached_property
    def key(self) -> Key:
        return ("names", self.endpoint)

    def __str__(self) -> str:
        return f"names {' '.join(self.names)} on {self.title}"
