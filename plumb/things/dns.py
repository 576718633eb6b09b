"""Names: the embedded DNS server of a sandbox, and what it knows.

A program in a container asks 127.0.0.11, port 53. Nobody listens there. The agent has opened two
sockets in the sandbox, on the same address and on ports of no meaning, and the sandbox's own
firewall rewrites the questions to them, and the answers' source back: so the container's port 53
stays the container's own.

The agent answers what it has been told: each endpoint's names on its network. What no network of
the sandbox knows, it asks the servers that the container would have asked otherwise, and hands
their answer on.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, NamedTuple

from plumb.things import Key, Stage
from plumb.things.host_ports import OfAgent

ADDRESS = IPv4Address("127.0.0.11")
"""Where programs in a container find it."""


class Upstream(NamedTuple):
    """A server that questions are handed on to.

    Attributes:
        ip: its address; the port is 53.
        inside: it is asked from the sandbox (the user named it), not from the host (it is the
        host's own, perhaps on its loopback).
    """

    ip: IPv4Address | IPv6Address
    inside: bool


class NamedPort(NamedTuple):
    """A port with a name, which SRV records tell.

    Attributes:
        name: the port's name; protocol: "tcp", "udp" or "sctp".
    """

    name: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Resolver(OfAgent):
    """The embedded DNS server of a sandbox.

    It holds sockets in the sandbox's namespace, which lasts as long as they do: so it goes by
    itself, and before it.

    Attributes:
        agent: the agent's folder.
        ns: the sandbox's namespace file.
        udp, tcp: the ports that it listens on; ip: the address.
        networks: the ids of the networks whose names it knows, in the order in which they are
        searched.
        links: names that only this sandbox knows: network, alias, and the name that it stands for
        there (`--link`).
        upstreams: whom it asks for what it does not know, in order.
        outside: the sandbox has a way out; without one, servers are not asked from the host in its
        stead.
        ndots: the user has set ndots: names without a dot are not handed on, the search domains are
        for them.
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

    @property
    def key(self) -> Key:
        return ("resolver", self.ns)

    def __str__(self) -> str:
        return f"resolver {self.ip} in {self.ns}"


@dataclass(frozen=True)
class Names(OfAgent):
    """The names of an endpoint on its network.

    Attributes:
        agent: the agent's folder.
        endpoint: whose they are.
        network, title: the network's id and its name; "NAME.TITLE" is known as well.
        names: the first is what its addresses are called in reverse.
        ips: what the names mean.
        ports: named ports of a service, for SRV.
    """

    stage: ClassVar = Stage.SERVICE
    agent: str
    endpoint: str
    network: str
    title: str
    names: tuple[str, ...]
    ips: tuple[IPv4Address | IPv6Address, ...]
    ports: tuple[NamedPort, ...] = ()

    @property
    def key(self) -> Key:
        return ("names", self.endpoint)

    def __str__(self) -> str:
        return f"names {' '.join(self.names)} on {self.title}"
