"""Requests about services and tasks. A node reports its own tasks, never another's."""

from __future__ import annotations

from typing import Any

from plumb.agent.cluster.manager.api import Api
from plumb.agent.cluster.state import keys, questions
from plumb.agent.cluster.state.etcd.operations import Put, present
from plumb.agent.cluster.state.service import services, tasks
from plumb.errors import Conflict, NotFound
from plumb.model.cluster import Node
from plumb.model.service.assignment import TaskStatus
from plumb.model.service.spec import ServiceSpec
from plumb.store import codec

Json = dict[str, Any]


def create(api: Api, caller: Node, body: Json) -> Json:
    """Record a service of a `spec`, and return it with all that was allotted.

    Args:
        body: `spec`; `id`, 25 of 0-9a-z, with which the request may be repeated.
    """
    spec = codec.decode(ServiceSpec, body["spec"])
    return dict(codec.plain(services.create(api.etcd, spec, str(body.get("id", "")))))


def everything(api: Api, caller: Node, body: Json) -> list[Json]:
    """List all services."""
    return [codec.plain(service) for service in services.everything(api.etcd)]


def find(api: Api, caller: Node, body: Json) -> Json | None:
    """Return a service by a `reference`, its id, name or the beginning of its id."""
    found = services.find(api.etcd, str(body["reference"]))
    return None if found is None else codec.plain(found)


def update(api: Api, caller: Node, body: Json) -> Json:
    """Give a service, by `id` and `version`, another `spec`."""
    spec = codec.decode(ServiceSpec, body["spec"])
    changed = services.update(api.etcd, str(body["id"]), int(body["version"]), spec)
    return dict(codec.plain(changed))


def roll_back(api: Api, caller: Node, body: Json) -> Json:
    """Let a service, by `id`, go back to its specification before the last update."""
    return dict(codec.plain(services.roll_back(api.etcd, str(body["id"]))))


def remove(api: Api, caller: Node, body: Json) -> bool:
    """Remove the service of an `id`."""
    services.remove(api.etcd, str(body["id"]))
    return True


def tasks_of(api: Api, caller: Node, body: Json) -> list[Json]:
    """List tasks, the oldest first: of a `service` or a `node` by its id, or all."""
    wanted = {name: str(body[name]) for name in ("service", "node") if body.get(name)}
    return [
        codec.plain(task)
        for task in tasks.everything(api.etcd)
        if all(getattr(task, name) == ident for name, ident in wanted.items())
    ]


def logs(api: Api, caller: Node, body: Json) -> Json:
    """Return what a `task` has printed, from an `offset`, or the last lines (`tail`) of it.

    Raises:
        NotFound: there is no such task, or its node is away.
    """
    ident = str(body["task"])
    task = tasks.get(api.etcd, ident)
    if task is None or not task.node:
        raise NotFound(f"task {ident} not found", "or it has no node yet")
    tail = body.get("tail")
    asked = {
        "logs": ident,
        "tail": None if tail is None else int(tail),
        "offset": int(body.get("offset") or 0),
    }
    return dict(questions.ask(api.etcd, task.node, asked))


def answer(api: Api, caller: Node, body: Json) -> bool:
    """Take down the `reply` of the node that asks to a `question`."""
    questions.answer(api.etcd, caller.id, str(body["question"]), dict(body["reply"]))
    return True


def report(api: Api, caller: Node, body: Json) -> bool:
    """Take down what the node that asks says about its `tasks`."""
    statuses = [codec.decode(TaskStatus, row) for row in body["tasks"]]
    tasks.report(api.etcd, caller.id, statuses)
    return True


def applied(api: Api, caller: Node, body: Json) -> bool:
    """Take down the `revision` of the tasks that the node that asks balances by."""
    lease = int(body["lease"])
    key = keys.ALIVE + caller.id
    found = api.etcd.get(key)
    if found is None or found.lease != lease:
        raise Conflict(f"node {caller.id} has another lease")
    put = Put(keys.APPLIED + caller.id, str(int(body["revision"])), lease)
    return api.etcd.txn([present(key)], [put]).succeeded
