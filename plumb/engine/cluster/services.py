"""Services of a swarm as its managers are asked for them: `plumb service`, as functions.

services = ServiceClient(SwarmClient(Layout.of()))
web = services.create(ServiceSpec("web", replicas=3, networks=(ServiceNetwork("n1"),)))
services.tasks(web)
"""

from __future__ import annotations

import secrets
import string
from typing import Any

from plumb.engine.cluster.swarm import SwarmClient
from plumb.errors import Invalid, NotFound
from plumb.frozen import frozen, replace
from plumb.model.cnm import Network
from plumb.model.service.assignment import EVERYWHERE
from plumb.model.service.changes import Change, changed
from plumb.model.service.service import Service
from plumb.model.service.spec import EndpointMode, ServiceSpec
from plumb.model.service.task import Task
from plumb.store import codec


@frozen
class Output:
    """Part of what a task's command has printed.

    Attributes:
        offset: of the next part.
        more: True while there is more, or may be.
    """

    text: str
    offset: int
    more: bool


class ServiceClient:
    """The services of the swarm that a root is a node of.

    Args:
        swarm: the swarm, by way of which its managers are asked.

    Raises, by any of its functions:
        Unsupported: this node is in no swarm, or no manager.
        NotFound, Conflict, Invalid: as the managers refuse it.
        KernelRefused: no manager answers.
    """

    def __init__(self, swarm: SwarmClient) -> None:
        self.swarm = swarm

    def create(self, spec: ServiceSpec) -> Service:
        """Create a service; its tasks are started soon after.

        Args:
            spec: its networks by name or id; without a name, it gets one.
        """
        if not spec.name:
            spec = replace(spec, name=_made_up_name())
        self._require(spec)
        body = {"spec": codec.plain(spec), "id": _new_id()}
        return codec.decode(Service, self.swarm.ask("service-create", body))

    def all(self) -> list[Service]:
        """List the services."""
        return [codec.decode(Service, one) for one in self.swarm.ask("services", {})]

    def one(self, reference: str) -> Service:
        """Return a service by id, name, or beginning of its id.

        Raises:
            NotFound: there is none.
        """
        found = self.swarm.ask("service", {"reference": reference}) if reference else None
        if not found:
            raise NotFound(f"service {reference} not found")
        return codec.decode(Service, found)

    def update(self, reference: str, change: Change) -> Service:
        """Change a service; an update of its tasks begins where they are concerned.

        Args:
            reference: which.
            change: networks to be removed by name or id.
        """
        known = self.one(reference)
        spec = changed(known.spec, self._with_ids(change))
        if spec.balancing is not known.spec.balancing or not self._balanced(known.spec):
            self._require(spec)
        return self._updated("service-update", known, spec=codec.plain(spec))

    def _balanced(self, spec: ServiceSpec) -> bool:
        """Test for a service with a virtual address, on a network of the cluster or on ingress.

        It has none on a network that every node has, or builds for itself.
        """
        if spec.on_ingress or spec.endpoint_mode is not EndpointMode.VIP:
            return bool(spec.on_ingress)
        asked = [one.network for one in spec.networks if one.network not in EVERYWHERE]
        found = [self.swarm.network(reference) for reference in asked]
        return any(net is not None and not net.swarm for net in found)

    def _require(self, spec: ServiceSpec) -> None:
        """Refuse a service that this host's kernel cannot balance.

        Raises:
            Unsupported: it has nothing to do it by.
        """
        if self._balanced(spec):
            from plumb.engine.cluster import balancing  # lazy: most requests change no balancing
            from plumb.kernel.system import this_system

            balancing.require(spec.balancing, this_system())

    def _with_ids(self, change: Change) -> Change:
        removed = dict(change.removed)
        if removed.get("networks"):
            removed["networks"] = [self.network_id(name) for name in removed["networks"]]
        return Change(change.fields, change.added, removed)

    def _updated(self, request: str, known: Service, **body: Any) -> Service:
        answer = self.swarm.ask(request, {"id": known.id, "version": known.version, **body})
        return codec.decode(Service, answer)

    def network_id(self, reference: str) -> str:
        """Return a network's id by its name or id.

        Raises:
            NotFound: there is no such network in the swarm.
        """
        if reference in EVERYWHERE:
            return reference
        found = self.swarm.network(reference)
        if found is None:
            raise NotFound(f"network {reference} not found")
        return found.id

    def shared_networks(self) -> dict[str, Network]:
        """Return the swarm's networks by id."""
        return {net.id: net for net in self.swarm.networks()}

    def scale(self, reference: str, replicas: int) -> Service:
        """Change the number of a service's tasks."""
        if self.one(reference).spec.everywhere:
            raise Invalid(
                f"{reference}: scale can only be used with replicated or replicated-job mode"
            )
        return self.update(reference, Change({"replicas": replicas}))

    def rollback(self, reference: str) -> Service:
        """Bring a service back to its specification before the last update."""
        known = self.one(reference)
        if known.previous is None:
            raise Invalid(
                f"service {reference} does not have a previous spec", "it has not been updated"
            )
        return self._updated("service-rollback", known)

    def remove(self, reference: str) -> str:
        """Remove a service, whose tasks end soon after; its id."""
        known = self.one(reference)
        self.swarm.ask("service-remove", {"id": known.id})
        return known.id

    def tasks(self, service: Service | None = None, node: str = "") -> list[Task]:
        """List tasks, the ended ones that are remembered too.

        Args:
            service: those of a service; None: of all.
            node: those on a node, by its id; empty: on all.
        """
        body = {**({"service": service.id} if service else {}), **({"node": node} if node else {})}
        return [codec.decode(Task, one) for one in self.swarm.ask("tasks", body)]

    def output(self, task: str, *, tail: int | None = None, offset: int = 0) -> Output:
        """Return what a task's command has printed.

        Args:
            task: its id.
            tail: the last lines alone, None: all.
            offset: bytes that are known already.
        """
        body = {"task": task, "tail": tail, "since": "", "offset": offset}
        found = self.swarm.ask("task-logs", body)
        return Output(str(found["text"]), int(found["offset"]), bool(found["more"]))


def _new_id() -> str:
    """An id of Docker's form; managers that are asked twice make one service of it."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(25))


def _made_up_name() -> str:
    from plumb.engine.allocate import ADJECTIVES, NOUNS  # lazy: most services are given a name
    from plumb.kernel.system import System

    system = System()
    return f"{system.choice(ADJECTIVES)}_{system.choice(NOUNS)}"
