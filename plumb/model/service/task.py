"""A task: one container of a service, on one node."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface

from plumb.frozen import frozen
from plumb.model.ports import ServicePort


class TaskState(StrEnum):
    """State of a task, in the order in which it goes through them (swarmkit's words)."""

    NEW = "new"
    PENDING = "pending"  # it waits for a node
    ASSIGNED = "assigned"
    PREPARING = "preparing"
    STARTING = "starting"  # its command runs, and is not healthy yet where that is checked
    RUNNING = "running"
    COMPLETE = "complete"  # its command ended with 0
    SHUTDOWN = "shutdown"  # it was stopped on demand
    FAILED = "failed"
    REJECTED = "rejected"  # its node could not build it
    ORPHANED = "orphaned"  # its node was away for too long
    REMOVE = "remove"  # as desired state: it is to end, and its record as well

    @property
    def ended(self) -> bool:
        """True if its command does not run any more, and never will again."""
        return self in ENDED


ENDED = frozenset(
    {
        TaskState.COMPLETE,
        TaskState.SHUTDOWN,
        TaskState.FAILED,
        TaskState.REJECTED,
        TaskState.ORPHANED,
        TaskState.REMOVE,
    }
)


@frozen
class Place:
    """A task's endpoint on a network of the cluster, its addresses allotted.

    Attributes:
        endpoint: the endpoint's id, 64 hex digits.
        mac: aa:bb:cc:dd:ee:ff.
    """

    network: str
    endpoint: str
    ip: IPv4Interface
    ip6: IPv6Interface | None = None
    mac: str = ""


@frozen
class Task:
    """A task.

    Attributes:
        id: 25 of 0-9a-z.
        service: the service's id; version: that of the specification that it was made for.
        slot: 1, 2, … of a replicated service; 0 of a global one, whose tasks are known by node.
        node: the node's id, empty while it waits for one.
        desired: the state that its node is to bring about: running, shutdown or remove.
        state: the one that its node has reported last.
        message: present work; error: reason of a failure.
        container: the container's id; exit_code: its command's.
        healthy: False while its health check fails: it gets no new connection, and no name.
        draining: it is to end, and gets no new connection from now on.
        places: its endpoints.
        ports: those of mode host, with the numbers that its node chose.
        template: digest of all that its container was made from: a task with another one than its
            service's is out of date.
        restarts: moments of its place's restarts that count for `RestartPolicy.attempts`, in
            seconds since the epoch.
        created, since: moments as in RFC 3339: of the task, of its state.
    """

    id: str
    service: str
    version: int = 1
    slot: int = 0
    node: str = ""
    desired: TaskState = TaskState.RUNNING
    state: TaskState = TaskState.NEW
    message: str = ""
    error: str = ""
    container: str = ""
    exit_code: int = 0
    healthy: bool = True
    draining: bool = False
    places: tuple[Place, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    template: str = ""
    restarts: tuple[float, ...] = ()
    created: str = ""
    since: str = ""

    @property
    def stands(self) -> bool:
        """True if it runs or is to run, and nobody has asked for its end."""
        return not (self.state.ended or self.draining or self.desired is not TaskState.RUNNING)

    def name(self, service: str) -> str:
        """Name of its container: "web.1.ID", or "web.NODE.ID" of a global service."""
        return f"{service}.{self.slot or self.node}.{self.id}"
