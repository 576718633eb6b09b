"""Published ports on the host's side: the socket that holds the port, and the proxy behind it.

A published port is first of all a port of the host, and must belong to no other program. So a
process that stays, the agent, binds it. Another container or a program of the host that tries to
bind it gets "address already in use", and no program can take over a port whose packets the
firewall rewrites before they would reach that program.

Most packets never reach that socket: DNAT in PREROUTING sends them to the container before the host
looks for a socket. The packets that DNAT leaves out do: connections of the host to 127.0.0.1 and
::1, of a container to a port of its own network, and of IPv6 clients to a container that has IPv4
only. For those the user-land proxy accepts connections, and opens others to the container in the
host's name. (Docker runs a process `docker-proxy` for each port; here the agent holds all.)

Until the firewall's rules are in place, a filter on the socket drops whatever arrives, so that no
connection begins on the wrong route; the filter stays on a port that has no proxy.
"""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import ClassVar

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.things import Key, Stage, Thing


@frozen
class Agent(Thing):
    """Background process of a root, which holds its sockets.

    It runs as long as a thing needs it.

    Attributes:
        folder: the folder of its control socket and its pid file.
        who: pid and start time of the process that runs.
    """

    stage: ClassVar = Stage.PORT
    folder: str
    who: str = field(default="", compare=False)

    @cached_property
    def key(self) -> Key:
        return ("agent", self.folder)


class OfAgent(Thing):
    """Thing that an agent holds, and that goes when the agent dies.

    plumb removes it in a step of its own all the same, before the agent: objects below it, such as
    a netns, need that.
    """

    agent: str


@frozen
class OfPort(OfAgent):
    """Thing that an agent holds for a published port.

    Attributes:
        agent: the agent's folder.
        protocol: "tcp", "udp" or "sctp".
        ip, port: its address on the host.
        to_ip, to_port: the container's address.
    """

    agent: str
    protocol: str
    ip: IPAddress
    port: int
    to_ip: IPAddress
    to_port: int


@frozen
class HostPort(OfPort):
    """Port of the host that is bound, so that no other program can have it.

    It would go with its agent, but plumb removes it before, in a step of its own: that step deletes
    its conntrack entries too, which is why it has the container's address.
    """

    stage: ClassVar = Stage.PORT

    @cached_property
    def key(self) -> Key:
        return ("port", self.protocol, str(self.ip), str(self.port))

    def __str__(self) -> str:
        return f"port {at(self.ip, self.port)}/{self.protocol}"


@frozen
class Proxy(OfPort):
    """User-land proxy of a bound port: it forwards to the container, in the host's name."""

    stage: ClassVar = Stage.SERVICE

    @cached_property
    def key(self) -> Key:
        return ("proxy", self.protocol, str(self.ip), str(self.port))

    @property
    def uses(self) -> tuple[Key, ...]:
        return (("port", *self.key[1:]),)

    def __str__(self) -> str:
        return f"proxy {at(self.ip, self.port)}/{self.protocol} to {at(self.to_ip, self.to_port)}"


def at(ip: IPAddress, port: int) -> str:
    """Format an address and a port as Docker does: 0.0.0.0:80, [::]:80."""
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
