"""Services, tasks and nodes at a moment, and what is decided about them on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from plumb.agent.cluster.state.service import moments
from plumb.agent.cluster.state.service.template import digest
from plumb.frozen import frozen
from plumb.model.cluster import Availability, Node
from plumb.model.service import constraints
from plumb.model.service.constraints import Constraint
from plumb.model.service.service import Service
from plumb.model.service.task import Task


@frozen
class Moment:
    """State of the cluster at a moment.

    Attributes:
        services: by id; tasks: all of them; nodes: by id.
        waited: ids of nodes that may be back at once: their tasks are not given to others yet.
        drained: ids of tasks that no node sends new connections to any more.
        now: seconds since the epoch.
    """

    services: Mapping[str, Service]
    tasks: Sequence[Task]
    nodes: Mapping[str, Node]
    waited: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()
    now: float = 0.0


@frozen
class RollBack:
    """Decision that a service goes back to its former specification, for a reason."""

    service: str
    message: str


class Board:
    """Tasks and services as they are to be after the decisions so far.

    Args:
        moment: the state to begin with.
        new_id: draws ids of tasks.
    """

    def __init__(self, moment: Moment, new_id: Callable[[], str]) -> None:
        self.moment, self.new_id = moment, new_id
        self.now, self.nodes = moment.now, moment.nodes
        self.before = {task.id: task for task in moment.tasks}
        self.tasks = dict(self.before)
        self.services = dict(moment.services)
        self.rollbacks: list[RollBack] = []
        self.wake = float("inf")
        self._of: dict[str, set[str]] = defaultdict(set)
        for task in moment.tasks:
            self._of[task.service].add(task.id)
        self._digests = {ident: digest(service.spec) for ident, service in moment.services.items()}
        self._constraints = {
            ident: constraints.parsed(service.spec.constraints)
            for ident, service in moment.services.items()
        }

    @property
    def time(self) -> str:
        """The moment as text."""
        return moments.text(self.now)

    def put(self, task: Task) -> None:
        """Decide what a task is to be."""
        self.tasks[task.id] = task
        self._of[task.service].add(task.id)

    def drop(self, task: Task) -> None:
        """Decide that a task's record goes."""
        self.tasks.pop(task.id, None)
        self._of[task.service].discard(task.id)

    def of(self, service: str) -> list[Task]:
        """List a service's tasks, the oldest first."""
        found = (self.tasks[ident] for ident in self._of[service])
        return sorted(found, key=lambda task: (task.created, task.id))

    def look_at(self, when: float) -> None:
        """Decide to look again at that moment, if not before."""
        if when > self.now:
            self.wake = min(self.wake, when)

    def template(self, service: str) -> str:
        """Digest of what a service's tasks are made from now."""
        return self._digests[service]

    # -- nodes --------------------------------------------------------------------------

    def up(self, ident: str) -> bool:
        """Tell whether a node is in the cluster, and alive or waited for."""
        node = self.nodes.get(ident)
        return node is not None and (node.alive or ident in self.moment.waited)

    def keeps(self, service: Service, ident: str) -> bool:
        """Tell whether a node may go on with a task of a service."""
        node = self.nodes.get(ident)
        return (
            node is not None
            and node.availability is not Availability.DRAIN
            and self.meets(service, node)
        )

    def meets(self, service: Service, node: Node) -> bool:
        """Tell whether a node meets a service's constraints."""
        return all(one.met_by(node) for one in self.constraints(service))

    def constraints(self, service: Service) -> Sequence[Constraint]:
        """Return a service's constraints."""
        return self._constraints[service.id]

    def takes(self, service: Service, node: Node) -> bool:
        """Tell whether a node may get a new task of a service."""
        return node.alive and node.availability is Availability.ACTIVE and self.meets(service, node)

    # -- the end ------------------------------------------------------------------------

    def changed(self) -> Iterable[tuple[Task | None, Task | None]]:
        """Yield what is decided about tasks: what was, and what is to be; None: nothing."""
        for ident in self.before.keys() | self.tasks.keys():
            was, now = self.before.get(ident), self.tasks.get(ident)
            if was != now:
                yield was, now
