"""Snapshots of the cluster for its leader: each is all that there is, whatever was read of it."""

from __future__ import annotations

from typing import Any

import pytest

from plumb.agent.cluster.manager.orchestrator.snapshot import Reader, Snapshot
from plumb.agent.cluster.state import keys, swarm
from plumb.agent.cluster.state.etcd.operations import Delete, Put
from plumb.agent.cluster.state.service import services
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Task, TaskState
from plumb.store import codec
from tests.agent.cluster.state.clusters import Cluster


def write(cluster: Cluster, *tasks: Task) -> None:
    """Write tasks down."""
    cluster.etcd.txn([], [Put(keys.TASKS + task.id, codec.dumps(task)) for task in tasks])


def task(number: int, state: TaskState = TaskState.RUNNING) -> Task:
    return Task(f"t{number}", "s1", slot=number, state=state)


def same(reader: Reader, cluster: Cluster) -> Snapshot:
    """Read a snapshot, which must be as one who has read nothing before has it."""
    found, fresh = reader.read(), Reader(cluster.etcd).read()
    assert found == fresh
    return found


def test_what_was_written_came_and_went_is_seen(cluster: Cluster) -> None:
    reader = Reader(cluster.etcd)
    assert same(reader, cluster).tasks == {}
    write(cluster, task(1), task(2))
    assert set(same(reader, cluster).tasks) == {"t1", "t2"}
    write(cluster, task(2, TaskState.FAILED))
    assert same(reader, cluster).tasks["t2"].state is TaskState.FAILED
    cluster.etcd.txn([], [Delete(keys.TASKS + "t1"), Put(keys.TASKS + "t3", codec.dumps(task(3)))])
    assert set(same(reader, cluster).tasks) == {"t2", "t3"}
    cluster.etcd.delete(Delete(keys.TASKS + "t2"))
    write(cluster, task(2))
    assert same(reader, cluster).tasks["t2"].state is TaskState.RUNNING
    services.create(cluster.etcd, ServiceSpec("web"))
    assert [one.spec.name for one in same(reader, cluster).services.values()] == ["web"]


def test_a_store_that_was_emptied_is_seen_empty(cluster: Cluster) -> None:
    reader = Reader(cluster.etcd)
    write(cluster, task(1))
    reader.read()
    swarm.clear(cluster.etcd)
    assert same(reader, cluster).tasks == {}


def test_what_was_not_written_since_is_not_read_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(cluster, *map(task, range(1, 51)))
    reader, read = Reader(cluster.etcd), cluster.etcd.read_all
    reader.read()
    numbers: list[int] = []

    def counted(wanted: Any) -> Any:
        answer = read(wanted)
        numbers.append(len(answer.listings[list(wanted).index(_tasks(wanted))].keys))
        return answer

    monkeypatch.setattr(cluster.etcd, "read_all", counted)
    write(cluster, task(7, TaskState.FAILED))
    assert len(reader.read().tasks) == 50
    assert numbers == [1]


def _tasks(wanted: Any) -> Any:
    return next(one for one in wanted if one.key == keys.TASKS)
