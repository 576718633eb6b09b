"""State of a sandbox, the part that it plays, and what it remembers of those it links to."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.ports import ServicePort


class Status(StrEnum):
    """State in a sandbox's life."""

    CREATED = "created"
    RUNNING = "running"
    RESTARTING = "restarting"  # its command has ended, and starts again after a back-off
    EXITED = "exited"


class Role(StrEnum):
    """Part that a sandbox plays: containers are the user's, the others are plumb's own."""

    CONTAINER = ""
    BALANCER = "balancer"  # of a network of the cluster, on this node
    INGRESS = "ingress"  # the same of the ingress network, with a way out


@frozen
class TaskOf:
    """Part that a container plays as a task, as its own host needs it.

    Attributes:
        task: the task's id; slot: as `Task.slot`.
        service: the service's id; name: the service's name.
        node: the node's id.
        ports: ports that the service publishes by way of the ingress network.
    """

    task: str
    service: str
    name: str
    slot: int = 0
    node: str = ""
    ports: tuple[ServicePort, ...] = ()


class Linked(NamedTuple):
    """A container that another one links to, as it was when both were running.

    The link is one of the default network; user-defined networks have aliases instead.

    Attributes:
        id, alias: which, and what it is called where it is linked to.
        names: what the linking container's hosts file calls it.
        ips: its addresses on the default network, IPv4 first.
        ports: its exposed ports as "80/tcp", which the link opens where containers are parted from
        each other.
    """

    id: str
    alias: str
    names: str
    ips: tuple[IPAddress, ...]
    ports: tuple[str, ...] = ()
