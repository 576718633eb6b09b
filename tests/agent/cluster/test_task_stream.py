"""Own tasks of a node, told by a manager and taken by the node: all at first, then what changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from plumb.agent.cluster.manager.service_feed import ServiceFeed
from plumb.agent.cluster.manager.task_stream import TaskStream
from plumb.agent.cluster.published import Published
from plumb.agent.cluster.session import Session
from plumb.agent.cluster.stream.tasks import OwnTasks
from plumb.errors import KernelRefused
from plumb.frozen import replace
from plumb.model.cnm import Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.service import Service
from plumb.model.service.spec import ServiceNetwork, ServiceSpec
from plumb.model.service.task import Place, Task, TaskState
from plumb.store import codec
from tests.waiting import until

Json = dict[str, Any]
N1 = "1" * 64
PLACES = {"balancers": {N1: "10.50.0.2/24"}, "balancers6": {N1: ""}}
COUNT = 50


class Cluster:
    """What a manager knows, and the stream of its node n."""

    def __init__(self, increments: bool = True, tasks: int = COUNT) -> None:
        self.feed = ServiceFeed()
        self.stream = TaskStream("n", self.feed, increments)
        self.network("n1")
        spec = ServiceSpec("web", networks=(ServiceNetwork(N1),))
        self.mark(self.feed.take_service("web", codec.dumps(Service("web", spec)))[0])
        for number in range(tasks):
            self.put(_task(number))

    def network(self, name: str | None) -> None:
        """Give the network a name, or take it away."""
        text = None if name is None else codec.dumps(Network(N1, name, "overlay"))
        self.mark(self.feed.take_network(N1, text)[0])
        if name is not None:
            self.stream.mark_network(N1)

    def put(self, task: Task) -> None:
        """Write a task."""
        self.mark(self.feed.take_task(task.id, codec.dumps(task))[0])

    def drop(self, ident: str) -> None:
        """Remove a task."""
        self.mark(self.feed.take_task(ident, None)[0])

    def mark(self, touched: dict[str, set[str]]) -> None:
        """Take note of what has changed, as the feed does."""
        self.stream.mark(touched.get("n", ()))


def _task(number: int, state: TaskState = TaskState.ASSIGNED, node: str = "n") -> Task:
    place = Place(N1, f"{number:064}", IPv4Interface(f"10.50.0.{number + 5}/24"))
    return Task(f"t{number}", "web", slot=number, node=node, state=state, places=(place,))


def _sent(line: Any) -> Any:
    """A part of a line, as it arrives."""
    return json.loads(json.dumps(line))


def _states(own: OwnTasks) -> dict[str, TaskState]:
    return {one.task.id: one.task.state for one in own.assignments(lambda network: ())}


def test_after_the_first_time_what_has_changed_is_told_and_no_more() -> None:
    cluster, own = Cluster(), OwnTasks()
    first = json.dumps(cluster.stream.complete(PLACES))
    own.take(json.loads(first))
    assert len(_states(own)) == COUNT

    cluster.put(_task(7, TaskState.RUNNING))
    line = _sent(cluster.stream.changes(PLACES))
    assert [row["task"]["id"] for row in line["tasks_changed"]["rows"]] == ["t7"]
    assert line["tasks_changed"]["networks"] == {}
    assert len(json.dumps(line)) * 20 < len(first)
    own.take(line)
    assert _states(own)["t7"] is TaskState.RUNNING
    assert cluster.stream.changes(PLACES) == {}


def test_tasks_that_come_together_are_told_in_the_order_in_which_they_came() -> None:
    """A node gives them their addresses and ports in that order, as Docker does."""
    cluster, own = Cluster(tasks=0), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    for number in range(COUNT):
        cluster.put(_task(number))
    own.take(_sent(cluster.stream.changes(PLACES)))
    assert list(_states(own)) == [f"t{number}" for number in range(COUNT)]


def test_what_a_node_has_at_last_is_what_a_new_stream_would_tell() -> None:
    cluster, own = Cluster(tasks=3), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    steps: tuple[Callable[[], None], ...] = (
        lambda: cluster.put(_task(3)),
        lambda: cluster.drop("t0"),
        lambda: cluster.put(_task(1, node="another")),
        lambda: cluster.network("renamed"),
        cluster.stream.mark_places,
        lambda: cluster.put(replace(_task(2), healthy=False)),
    )
    for step in steps:
        step()
        own.take(_sent(cluster.stream.changes(PLACES)))
    anew = OwnTasks()
    anew.take(_sent(TaskStream("n", cluster.feed, increments=True).complete(PLACES)))
    by_id = [
        {one.task.id: one for one in each.assignments(lambda network: ())} for each in (own, anew)
    ]
    assert by_id[0] == by_id[1]
    assert by_id[0].keys() == {"t2", "t3"}
    assert {one.attached[0].network.name for one in by_id[0].values()} == {"renamed"}
    assert all(one.complete for one in by_id[0].values())


def test_a_network_that_has_gone_is_forgotten() -> None:
    cluster, own = Cluster(tasks=1), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    cluster.network(None)
    own.take(_sent(cluster.stream.changes(PLACES)))
    (left,) = own.assignments(lambda network: ())
    assert left.attached == ()


def test_a_network_that_has_changed_before_it_went_is_forgotten_too() -> None:
    """Both between two messages."""
    cluster, own = Cluster(tasks=1), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    cluster.network("renamed")
    cluster.network(None)
    own.take(_sent(cluster.stream.changes(PLACES)))
    (left,) = own.assignments(lambda network: ())
    assert left.attached == ()


def test_a_network_that_has_changed_is_told_with_the_next_task_on_it() -> None:
    """Once, and no more than that one."""
    cluster, own = Cluster(tasks=1), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    cluster.network("renamed")
    line = _sent(cluster.stream.changes(PLACES))
    assert line["tasks_changed"]["networks"][N1]["name"] == "renamed"
    cluster.put(_task(0, TaskState.RUNNING))
    assert cluster.stream.changes(PLACES)["tasks_changed"]["networks"] == {}


def test_a_change_after_one_that_is_missing_is_refused() -> None:
    """The node's session ends the stream then; the next begins with all tasks."""
    cluster, own = Cluster(tasks=2), OwnTasks()
    own.take(_sent(cluster.stream.complete(PLACES)))
    cluster.put(_task(0, TaskState.RUNNING))
    cluster.stream.changes(PLACES)  # lost
    cluster.put(_task(1, TaskState.RUNNING))
    late = _sent(cluster.stream.changes(PLACES))
    with pytest.raises(ValueError, match="after message 2, not 1"):
        own.take(late)
    own.take(_sent(TaskStream("n", cluster.feed, increments=True).complete(PLACES)))
    assert set(_states(own).values()) == {TaskState.RUNNING}


def test_a_change_before_all_of_them_is_refused() -> None:
    """As from another manager, whose numbers begin anew."""
    cluster = Cluster(tasks=1)
    with pytest.raises(ValueError, match="after message 0"):
        OwnTasks().take(_sent(cluster.stream.changes(PLACES)))


def test_a_node_that_takes_no_changes_is_told_all_of_them_each_time() -> None:
    """One of a version that does not ask for changes."""
    cluster = Cluster(increments=False, tasks=3)
    cluster.stream.complete(PLACES)
    cluster.put(_task(1, TaskState.RUNNING))
    line = _sent(cluster.stream.changes(PLACES))
    assert len(line["tasks"]["rows"]) == 3


def test_a_manager_that_tells_no_changes_is_understood() -> None:
    """One of a version that has no numbers, and tells all of them each time."""
    cluster, own = Cluster(tasks=2), OwnTasks()
    line = _sent(cluster.stream.complete(PLACES))
    del line["tasks"]["sequence"]
    own.take(_sent(line))
    own.take({"tasks": {**line["tasks"], "rows": line["tasks"]["rows"][:1]}})
    assert len(_states(own)) == 1


class LossyManagers:
    """Managers whose first stream lacks a message; the second begins with all tasks."""

    places = ("192.0.2.1:2377",)

    def __init__(self, *streams: list[Json]) -> None:
        self.streams = list(streams)

    def stream(self, seconds: float) -> tuple[Any, Any]:
        """Open the next stream."""
        if not self.streams:
            raise KernelRefused("watch")
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in self.streams.pop(0))
        return BytesIO(), BytesIO(lines)

    def ask(self, name: str, body: Any, *_: Any, **__: Any) -> Any:
        """Refuse, as a manager without a quorum does."""
        raise KernelRefused(f"ask for {name}")

    def close(self) -> None:
        """Pass over."""


class Assigned:
    """Takes the tasks that a session has, and nothing else."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, TaskState]] = []

    def on_tasks(self, tasks: tuple[Assignment, ...]) -> None:
        """Take all tasks of the node."""
        self.tasks.append({one.task.id: one.task.state for one in tasks})

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_session_that_has_missed_a_change_is_told_all_tasks_by_a_new_stream(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tasks=2)
    first = cluster.stream.complete(PLACES)
    cluster.put(_task(0, TaskState.RUNNING))
    cluster.stream.changes(PLACES)  # lost
    cluster.put(_task(1, TaskState.RUNNING))
    broken = [first, cluster.stream.changes(PLACES), {"tasks": {}}]
    whole = TaskStream("n", cluster.feed, increments=True).complete(PLACES)
    managers: Any = LossyManagers(broken, [whole])
    events: Any = Assigned()
    session = Session("n", managers, Published(str(tmp_path)), events, lambda text: None)
    session.start()
    try:
        until(lambda: len(events.tasks) == 2, "the second stream has told the tasks")
    finally:
        session.close()
    assert set(events.tasks[0].values()) == {TaskState.ASSIGNED}
    assert set(events.tasks[1].values()) == {TaskState.RUNNING}
