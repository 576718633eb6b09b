"""Published ports on the host's side: who holds the port, and who answers behind it.

A published port is first of all a port of the host, and must be nobody else's. So it is really
bound, by a process that stays: the agent. Whoever else tries to bind it, another container or a
program of the host, gets "address already in use", and no program can take over a port whose
packets the firewall rewrites before that program would see them.

Most packets never meet that socket: DNAT in PREROUTING sends them to the container before the host
looks for one. It is
met by what DNAT leaves out: connections of the host to 127.0.0.1 and ::1, of a container to a port
of its own network, and of IPv6 clients to a container that has IPv4 only. For those the socket is
handed on by the user-land proxy, which speaks to the container in the host's name. (Docker runs a
process `docker-proxy` for each port; here the agent holds all.)

Until the firewall's rules are in place a filter on the socket drops whatever arrives, so that no
connection begins on the wrong way; it stays on a port that has no proxy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar

from plumb.things import Key, Stage, Thing


@dataclass(frozen=True)
class Agent(Thing):
    """The one background process of a root, which holds its sockets.

    It is there as long as something needs it.

    Attributes:
        folder: where its control socket and its pid file are.
        who: which process it was found to be: pid and start time.
    """

    stage: ClassVar = Stage.PORT
    folder: str
    who: str = field(default="", compare=False)

    @property
    def key(self) -> Key:
        return ("agent", self.folder)


class OfAgent(Thing):
    """What an agent has, and takes along when it dies.

    It is taken away by itself all the same, and before the agent: what it stands on needs it gone.
    """

    agent: str


@dataclass(frozen=True)
class OfPort(OfAgent):
    """What an agent has for a published port.

    Attributes:
        agent: the agent's folder.
        protocol: "tcp", "udp" or "sctp".
        ip, port: where it is on the host.
        to_ip, to_port: what is published there.
    """

    agent: str
    protocol: str
    ip: IPv4Address | IPv6Address
    port: int
    to_ip: IPv4Address | IPv6Address
    to_port: int


@dataclass(frozen=True)
class HostPort(OfPort):
    """A port of the host that is bound, so that it is nobody else's.

    It would be lost with its agent, but is taken away by itself and before it: then connection
    tracking's entries for it are forgotten too, which is why it knows what is published there.
    """

    stage: ClassVar = Stage.PORT

    @property
    def key(self) -> Key:
        return ("port", self.protocol, str(self.ip), str(self.port))

    def __str__(self) -> str:
        return f"port {at(self.ip, self.port)}/{self.protocol}"


@dataclass(frozen=True)
class Proxy(OfPort):
    """What arrives at a bound port is handed on to the container, in the host's name."""

    stage: ClassVar = Stage.SERVICE

    @property
    def key(self) -> Key:
        return ("proxy", self.protocol, str(self.ip), str(self.port))

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("port", *self.key[1:]),)

    def __str__(self) -> str:
        return f"proxy {at(self.ip, self.port)}/{self.protocol} to {at(self.to_ip, self.to_port)}"


def at(ip: IPv4Address | IPv6Address, port: int) -> str:
    """An address and a port, as Docker writes them: 0.0.0.0:80, [::]:80."""
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
