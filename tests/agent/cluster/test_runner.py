"""The runner of a node's tasks, round by round, on a host that cannot build them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from plumb.agent.cluster.tasks.runner import TaskRunner
from plumb.errors import Invalid, KernelRefused
from plumb.model.cluster import Attached, Node
from plumb.model.cnm import Network, Sandbox, Status
from plumb.model.net.status import TaskOf
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Place, Task

NET = Network("1" * 64, "n1", "overlay")
TASK = Task(
    "t" * 25, "web", node="n", places=(Place(NET.id, "e" * 64, IPv4Interface("10.5.0.5/24")),)
)


def assignment(balancer: str) -> Assignment:
    """The task, told while the node's own place was that."""
    (place,) = TASK.places
    own = Attached(NET, place.ip, None, place.mac, IPv4Interface(balancer))
    return Assignment(TASK, ServiceSpec("web"), (own,))


class FullHost:
    """Host that has no tasks and builds none."""

    def tasks(self) -> tuple[()]:
        """List none."""
        return ()

    def begin(self, some: Any, node: Node) -> None:
        """Build none."""
        raise Invalid("endpoint e5 has other addresses")


def test_a_task_is_rejected_when_it_could_not_be_built_twice_in_the_same_place() -> None:
    """The node's own place may have changed: it is told of that soon."""
    said = list[Any]()
    host: Any = FullHost()
    node = Node("n", "h1", IPv4Address("192.0.2.1"), IPv4Address("192.0.2.1"))

    def ask(name: str, body: dict[str, Any], *, patience: float = 0.0) -> None:
        said.extend(row["state"] for row in body["tasks"])

    runner = TaskRunner(host, lambda: node, ask, lambda text: None)
    for own in ("10.5.0.3/24", "10.5.0.9/24"):
        runner.assign((assignment(own),))
        assert runner._round() <= 1.0
        assert said == []
    runner._round()
    assert said == ["rejected"]


class PickyHost:
    """Host that builds all tasks but one, and knows in which operations."""

    def __init__(self, refused: str) -> None:
        self.refused, self.operations = refused, list[list[str]]()
        self.built = dict[str, Sandbox]()

    def tasks(self) -> list[tuple[Sandbox, tuple[()]]]:
        """List those that were built."""
        return [(box, ()) for box in self.built.values()]

    def folder(self, box: Sandbox) -> str:
        """Return a folder in which no command has ended."""
        return "/nowhere"

    def begin(self, some: Any, node: Node) -> None:
        """Build all or none."""
        names = [one.task.id for one in some]
        self.operations.append(names)
        if self.refused in names:
            raise KernelRefused("start it in the sandbox")
        for name in names:
            task = TaskOf(name, "web", "web")
            self.built[name] = Sandbox(name, name, status=Status.RUNNING, task=task)


def test_a_task_that_has_failed_takes_no_other_down_a_second_time() -> None:
    """It may fail when commands of others in its operation run: they would be executed again."""
    picky = PickyHost("b")
    host: Any = picky
    node = Node("n", "h1", IPv4Address("192.0.2.1"), IPv4Address("192.0.2.1"))
    runner = TaskRunner(host, lambda: node, lambda *_, **__: None, lambda text: None)
    tasks = {name: Assignment(Task(name, "web", node="n"), ServiceSpec("web")) for name in "abcd"}
    runner.assign((tasks["a"], tasks["b"], tasks["c"]))
    runner._round()
    runner.assign(tuple(tasks.values()))
    runner._round()
    assert picky.operations == [["a", "b", "c"], ["a"], ["b"], ["c"], ["d"], ["b"]]
