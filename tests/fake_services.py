"""Managers of a swarm in this process: for tests of what commands ask, and make of the answers.

They keep services, and tasks that run as soon as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from plumb.errors import Conflict, NotFound
from plumb.kernel import cluster_client
from plumb.kernel.cluster import places
from plumb.model.cluster import Node, NodeRole
from plumb.model.cnm import Network, Pool
from plumb.model.driver_options import OverlayOptions
from plumb.model.service.service import Service, UpdateState, UpdateStatus, VirtualAddress
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Task, TaskState
from plumb.store import codec

NODES = tuple(
    Node(
        name.ljust(25, "0"),
        name,
        IPv4Address(address),
        IPv4Address(address),
        NodeRole.MANAGER,
        leader=name == "h1",
    )
    for name, address in (("h1", "192.0.2.10"), ("h2", "192.0.2.11"))
)
N1 = Network(
    "1" * 64,
    "n1",
    "overlay",
    (Pool(IPv4Network("10.50.0.0/24"), gateway=IPv4Address("10.50.0.1")),),
    overlay=OverlayOptions(vnis=(4097,)),
)
MOMENT = "2026-01-31T12:00:00.5Z"


@dataclass
class Managers:
    """The managers.

    Attributes:
        services: by id; tasks: by id; outputs: text that tasks have printed, by the task's id.
        asked: names of the requests that changed something, with their bodies.
        update: the state that an update is in from the start.
        networks: those of the swarm.
    """

    services: dict[str, Service] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    update: UpdateStatus = field(default_factory=lambda: UpdateStatus(UpdateState.COMPLETED))
    networks: list[Network] = field(default_factory=lambda: [N1])

    def ask(self, layout: object, name: str, body: dict[str, Any], start: bool = False) -> Any:
        """Answer as a manager does."""
        answer = getattr(self, f"_{name.replace('-', '_')}")(
            **{"ident" if key == "id" else key: value for key, value in body.items()}
        )
        if name.startswith("service-"):
            self.asked.append((name, body))
        return answer if isinstance(answer, dict) else codec.plain(answer)

    def spec(self, name: str) -> ServiceSpec:
        """The specification of a service by its name."""
        return self._named(name).spec

    def _named(self, reference: str) -> Service:
        for service in self.services.values():
            if reference in (service.id, service.spec.name):
                return service
        raise NotFound(f"service {reference} not found")

    def _nodes(self) -> Any:
        return NODES

    def _status(self) -> Any:
        return {"node": codec.plain(NODES[0])}

    def _networks(self) -> Any:
        return self.networks

    def _network(self, reference: str) -> Any:
        found = (net for net in self.networks if reference in (net.id, net.name))
        return next(found, None)

    def _services(self) -> Any:
        return list(self.services.values())

    def _service(self, reference: str) -> Any:
        found = (
            one
            for one in self.services.values()
            if reference == one.spec.name or one.id.startswith(reference)
        )
        return next(found, None)

    def _service_create(self, spec: dict[str, Any], ident: str) -> Service:
        assert len(ident) == 25, "an id with which the request may be repeated"
        wish = codec.decode(ServiceSpec, spec)
        if any(one.spec.name == wish.name for one in self.services.values()):
            raise Conflict(f"name conflicts with an existing object: service {wish.name}")
        nets = tuple(
            replace(net, network=found.id) if (found := self._network(net.network)) else net
            for net in wish.networks
        )
        ident = f"{len(self.services):02}svc".ljust(25, "0")  # as tests have it
        own = tuple(
            VirtualAddress(N1.id, IPv4Interface("10.50.0.2/24"))
            for one in nets
            if one.network == N1.id
        )
        made = Service(
            ident, replace(wish, networks=nets or wish.networks), addresses=own, created=MOMENT
        )
        self._keep(made)
        return made

    def _keep(self, service: Service) -> None:
        self.services[service.id] = service
        here = [t for t in self.tasks.values() if t.service == service.id]
        for task in here:
            if task.slot > service.spec.replicas:
                self.tasks[task.id] = replace(
                    task, desired=TaskState.SHUTDOWN, state=TaskState.SHUTDOWN
                )
        for slot in range(len(here) + 1, service.spec.replicas + 1):
            ident = f"{service.id[:2]}t{slot}".ljust(25, "0")
            self.tasks[ident] = Task(
                ident,
                service.id,
                slot=slot,
                node=NODES[slot % 2].id,
                state=TaskState.RUNNING,
                created=MOMENT,
                since=MOMENT,
            )

    def _service_update(self, ident: str, version: int, spec: dict[str, Any]) -> Service:
        before = self._named(ident)
        made = replace(
            before,
            spec=codec.decode(ServiceSpec, spec),
            previous=before.spec,
            version=version + 1,
            update=self.update,
        )
        self._keep(made)
        return made

    def _service_rollback(self, ident: str, version: int) -> Service:
        before = self._named(ident)
        assert before.previous is not None
        made = replace(before, spec=before.previous, previous=before.spec, version=version + 1)
        self._keep(made)
        return made

    def _service_remove(self, ident: str) -> bool:
        del self.services[self._named(ident).id]
        self.tasks = {key: task for key, task in self.tasks.items() if task.service != ident}
        return True

    def _tasks(self, service: str = "", node: str = "") -> Any:
        return [
            task
            for task in self.tasks.values()
            if service in ("", task.service) and node in ("", task.node)
        ]

    def _task_logs(self, task: str, tail: int | None, since: str, offset: int) -> Any:
        text = self.outputs.get(task, "")[offset:]
        kept = "".join(text.splitlines(keepends=True)[-tail:]) if tail else text
        return {"text": kept, "offset": offset + len(text), "more": False}


@contextmanager
def managers() -> Iterator[Managers]:
    """Managers whom every command of this process asks, for a with block."""
    made = Managers()
    real, member = cluster_client.ask, places.is_member
    cluster_client.ask = made.ask
    places.is_member = lambda layout: True
    try:
        yield made
    finally:
        cluster_client.ask, places.is_member = real, member
