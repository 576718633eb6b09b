"""Containers and networks that other engines have made, each with its source.

They are the values that plumb's store has (`plumb.model.cnm`): names, subnets, addresses, published
ports. So whatever reads plumb's own containers reads these as well.
"""

from __future__ import annotations

from enum import StrEnum

from plumb.frozen import frozen
from plumb.model.cnm import Network, Sandbox
from plumb.model.net.targets import Member


class Engine(StrEnum):
    """Programs that make containers or network namespaces."""

    DOCKER = "docker"
    PODMAN = "podman"
    CONTAINERD = "containerd"
    IP_NETNS = "netns"
    PROCESS = "pid"


@frozen
class Source:
    """Origin of what plumb knows about another engine's objects.

    Attributes:
        engine: the engine.
        origin: the path of the socket, folder or file that was read.
        age: seconds since it was so: 0 for a daemon's answer, else since the file was written.
        version: the engine's version, empty if it is not known.
    """

    engine: Engine
    origin: str
    age: float = 0.0
    version: str = ""


@frozen
class ForeignContainer:
    """A running container of another engine.

    Attributes:
        name: the name that the engine gave it; that of `member.box` has the engine's before it
            where another container is called the same (`plumb.foreign.names`).
        member: its name, id, DNS settings and aliases (`member.box`), its network namespace
            (`member.place`) and its endpoints with their networks and published ports
            (`member.ends`).
        pid: its first process, 0 for a namespace without one.
        etc: the folder with its resolv.conf and hosts; empty where they are the host's.
        source: where plumb read that.
    """

    name: str
    member: Member
    pid: int
    etc: str
    source: Source

    @property
    def qualified(self) -> str:
        """Name with the engine's before it, which no other engine's container has."""
        return f"{self.source.engine}:{self.name}"


@frozen
class ForeignNetwork:
    """A network of another engine.

    Attributes:
        network: the network; one of a driver that plumb does not have is of the driver "null".
        driver: the driver's name as the engine has it.
        source: where plumb read that.
    """

    network: Network
    driver: str
    source: Source


@frozen
class ForeignHost:
    """Containers and networks of all other engines on this host.

    Attributes:
        containers: those that run; stopped: those that do not, with their source.
        networks: all networks.
        sources: the engines that were found, answering or not.
        missing: sentences on what plumb could not read, and why.
    """

    containers: tuple[ForeignContainer, ...] = ()
    stopped: tuple[tuple[Sandbox, Source], ...] = ()
    networks: tuple[ForeignNetwork, ...] = ()
    sources: tuple[Source, ...] = ()
    missing: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """True if any engine was found."""
        return bool(self.sources)

    @property
    def members(self) -> tuple[Member, ...]:
        """Running containers, as plumb's own."""
        return tuple(each.member for each in self.containers)

    @property
    def engines(self) -> dict[str, Engine]:
        """Engines of all containers and networks, by id."""
        return {
            **{each.member.box.id: each.source.engine for each in self.containers},
            **{each.network.id: each.source.engine for each in self.networks},
            **{box.id: source.engine for box, source in self.stopped},
        }

    def __add__(self, other: ForeignHost) -> ForeignHost:
        """Sum of two readings of this host."""
        return ForeignHost(
            self.containers + other.containers,
            self.stopped + other.stopped,
            self.networks + other.networks,
            self.sources + other.sources,
            self.missing + other.missing,
        )


RESTART_DOCKER = "systemctl restart docker  # stops its containers unless it has live-restore"
"""Line for a shell after which dockerd has written its rules and links anew, and what it costs."""
