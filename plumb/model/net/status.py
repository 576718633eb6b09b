"""State of a sandbox, and the part that it plays."""

from __future__ import annotations

from enum import StrEnum

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
