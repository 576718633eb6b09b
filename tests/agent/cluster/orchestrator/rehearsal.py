"""A cluster as values: decisions are carried out at once, nodes do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from plumb.agent.cluster.manager.orchestrator.board import Board, Moment
from plumb.agent.cluster.manager.orchestrator.decide import decide
from plumb.agent.cluster.state.service import moments
from plumb.frozen import replace
from plumb.model.cluster import Node
from plumb.model.service.service import Service, UpdateState, UpdateStatus
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Place, Task, TaskState

BEGIN = 1_800_000_000.0
OWN_PLACE = Place("n1", "e" * 64, IPv4Interface("10.50.0.2/24"))


@dataclass
class Cluster:
    """Nodes h1, h2, …, services and tasks, and a clock that is moved by hand.

    Attributes:
        fails: says of a task whether its command dies at once; stuck: ids of nodes that do nothing.
    """

    nodes: dict[str, Node]
    services: dict[str, Service] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    now: float = BEGIN
    waited: frozenset[str] = frozenset()
    fails: Callable[[Task], bool] = lambda task: False
    stuck: set[str] = field(default_factory=set)
    made: int = 0
    drains: bool = True

    def service(self, name: str = "web", **spec: Any) -> Service:
        """Create a service."""
        now = moments.text(self.now)
        service = Service(name, ServiceSpec(name, **spec), created=now, updated=now)
        self.services[name] = service
        return service

    def update(self, name: str = "web", **changes: Any) -> None:
        """Change a service's specification, as its request does."""
        was = self.services[name]
        self.services[name] = replace(
            was,
            spec=replace(was.spec, **changes),
            previous=was.spec,
            version=was.version + 1,
            update=UpdateStatus(UpdateState.UPDATING, moments.text(self.now)),
        )

    def decide(self) -> Board:
        """Decide once, and carry it out."""
        drained = frozenset(t.id for t in self.tasks.values() if t.draining and self.drains)
        moment = Moment(
            self.services, list(self.tasks.values()), self.nodes, self.waited, drained, self.now
        )
        board = decide(moment, self._new_id)
        self.tasks = {ident: _placed(task) for ident, task in board.tasks.items()}
        self.services = dict(board.services)
        for one in board.rollbacks:
            was = self.services[one.service]
            assert was.previous
            began = UpdateStatus(UpdateState.ROLLING_BACK, moments.text(self.now), "", one.message)
            self.services[one.service] = replace(
                was, spec=was.previous, previous=None, version=was.version + 1, update=began
            )
        return board

    def _new_id(self) -> str:
        self.made += 1
        return f"t{self.made:04}"

    def work(self) -> None:
        """Let the nodes do what is asked of them."""
        for task in list(self.tasks.values()):
            node = self.nodes.get(task.node)
            if task.state.ended or node is None or not node.alive or task.node in self.stuck:
                continue
            if task.desired is not TaskState.RUNNING:
                self.put(task, TaskState.SHUTDOWN)
            elif self.fails(task):
                self.put(task, TaskState.FAILED, error="task: non-zero exit (1)")
            elif task.state is not TaskState.RUNNING:
                self.put(task, TaskState.RUNNING)

    def put(self, task: Task, state: TaskState, **changes: Any) -> None:
        """Take down a node's report."""
        since = moments.text(self.now)
        self.tasks[task.id] = replace(task, state=state, since=since, **changes)

    def settle(self, seconds: float = 5.0, step: float = 0.5) -> None:
        """Decide and work for a while."""
        end = self.now + seconds
        while self.now < end:
            self.decide()
            self.work()
            self.now += step
        self.decide()

    def running(self, service: str = "web") -> list[Task]:
        """Tasks of a service that run."""
        return [
            task for task in self.of(service) if task.state is TaskState.RUNNING and task.stands
        ]

    def of(self, service: str = "web") -> list[Task]:
        """Tasks of a service."""
        found = (task for task in self.tasks.values() if task.service == service)
        return sorted(found, key=lambda task: (task.slot, task.created, task.id))


def _placed(task: Task) -> Task:
    return replace(task, places=(OWN_PLACE,)) if task.node and not task.places else task


def node(name: str, **more: Any) -> Node:
    """A node."""
    address = IPv4Address("192.0.2.10")
    return Node(name, name, address, address, **more)


def cluster(count: int = 3) -> Cluster:
    """A cluster of so many nodes."""
    return Cluster({f"h{i}": node(f"h{i}") for i in range(1, count + 1)})
