"""Tasks: the leader makes, places and ends them; their nodes report their states.

Both write the same key, each on condition that it is as it was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from plumb.agent.cluster.state import keys, reservations
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import Get, KeyValue, Put, below, unchanged
from plumb.agent.cluster.state.reservations import batches
from plumb.agent.cluster.state.service import moments
from plumb.frozen import replace
from plumb.model.service.assignment import TaskStatus
from plumb.model.service.task import Task
from plumb.store import codec

BATCH = 100
"""Reports that one transaction writes; etcd takes 128 operations in one."""


def everything(etcd: Etcd) -> list[Task]:
    """List all tasks, the oldest first."""
    found = [parsed(one) for one in etcd.range(below(keys.TASKS)).keys]
    return sorted(found, key=lambda task: (task.created, task.id))


def get(etcd: Etcd, ident: str) -> Task | None:
    """Return a task by its id, None without one."""
    found = etcd.get(keys.TASKS + ident)
    return parsed(found) if found else None


def parsed(found: KeyValue) -> Task:
    """A task as it was read."""
    return codec.loads(Task, found.value)


def report(etcd: Etcd, node: str, statuses: Iterable[TaskStatus]) -> None:
    """Take down what a node says about its own tasks; about others it is passed over.

    A task that has ended gives its addresses back.
    """
    for some in batches(statuses, BATCH):
        for _ in attempts(f"report the tasks of node {node}"):
            if _report(etcd, node, some):
                break


def _report(etcd: Etcd, node: str, statuses: Sequence[TaskStatus]) -> bool:
    listings = etcd.read_all([Get(keys.TASKS + one.task) for one in statuses]).listings
    found = [listing.first for listing in listings]
    own = [
        (key, parsed(key), status)
        for key, status in zip(found, statuses, strict=True)
        if key is not None and parsed(key).node == node
    ]
    now = moments.text(time.time())
    new = [(key, was, _reported(was, status, now)) for key, was, status in own]
    changed = [(key, task) for key, was, task in new if task != was]
    puts = [Put(key.key, codec.dumps(task)) for key, task in changed]
    if puts and not etcd.txn([unchanged(key.key, key) for key, _ in changed], puts).succeeded:
        return False
    ends = [place.endpoint for _, _, task in new if task.state.ended for place in task.places]
    if ends:
        reservations.release(etcd, node, ends)
    return True


def _reported(was: Task, status: TaskStatus, now: str) -> Task:
    """A task after a report: what has ended stays so."""
    if was.state.ended:
        return was
    return replace(
        was,
        state=status.state,
        message=status.message,
        error=status.error,
        container=status.container or was.container,
        exit_code=status.exit_code,
        healthy=status.healthy,
        ports=status.ports or was.ports,
        since=now if status.state is not was.state else was.since,
    )
