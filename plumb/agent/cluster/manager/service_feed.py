"""Services and tasks as nodes are told of them, for the feed.

A node is told its own tasks (`task_stream`), and the services of each network that it has a place
in, each of them whole when something of it has changed. New connections are
sent to a task as long as it runs and its endpoint is published, so that no node sends to one that
it cannot reach yet; those that it has it keeps while its node is away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from plumb.agent.cluster.state.service.template import digest
from plumb.frozen import replace
from plumb.model.cnm import Network
from plumb.model.service.assignment import EVERYWHERE
from plumb.model.service.service import Service
from plumb.model.service.spec import EndpointMode, ServiceSpec
from plumb.model.service.task import Place, Task, TaskState
from plumb.model.service.virtual import Backend, VirtualService
from plumb.store import codec

Json = dict[str, Any]
Where = tuple[str, str]
"""Ids of a network and of a service on it."""
Touched = dict[str, set[str]]
"""Ids of tasks by their nodes."""


class ServiceFeed:
    """Services, tasks and networks as they are in etcd; the feed guards it by its lock."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}
        self._tasks: dict[str, Task] = {}
        self._networks: dict[str, Network] = {}
        self._published: set[str] = set()
        self._service_of: dict[str, str] = {}
        self._of_service: dict[str, dict[str, Task]] = defaultdict(dict)
        self._of_node: dict[str, dict[str, Task]] = defaultdict(dict)

    # -- what changes --------------------------------------------------------------------

    def take_service(self, ident: str, text: str | None) -> tuple[Touched, set[Where]]:
        """Take a service; the tasks that it concerns, and where it is balanced."""
        was = self._services.pop(ident, None)
        touched = set(self._where(was)) if was else set()
        if text is not None:
            self._services[ident] = codec.loads(Service, text)
            touched |= set(self._where(self._services[ident]))
        return _by_node(self._of_service[ident].values()), touched

    def take_task(self, ident: str, text: str | None) -> tuple[Touched, set[Where]]:
        """Take a task; the nodes that it concerns, and where its service is balanced."""
        was = self._tasks.pop(ident, None)
        if was is not None:
            self._of_service[was.service].pop(ident, None)
            self._of_node[was.node].pop(ident, None)
            for place in was.places:
                self._service_of.pop(place.endpoint, None)
        now = None if text is None else codec.loads(Task, text)
        if now is not None:
            self._tasks[ident] = now
            self._of_service[now.service][ident] = now
            self._of_node[now.node][ident] = now
            self._service_of |= {place.endpoint: now.service for place in now.places}
        both = [task for task in (was, now) if task is not None]
        nodes = _by_node(both)
        if was is not None and now is not None and _balanced(was) == _balanced(now):
            return nodes, set()
        return nodes, {(place.network, task.service) for task in both for place in task.places}

    def take_end(self, network: str, ident: str, published: bool) -> set[Where]:
        """Take an endpoint that is published, or not any more; where its service is balanced."""
        if published == (ident in self._published):
            return set()
        (self._published.add if published else self._published.discard)(ident)
        return {(network, self._service_of[ident])} if ident in self._service_of else set()

    def take_network(self, ident: str, text: str | None) -> tuple[Touched, set[Where]]:
        """Take a network; the tasks on it."""
        if text is None:
            self._networks.pop(ident, None)
        else:
            self._networks[ident] = codec.loads(Network, text)
        users = {
            service.id
            for service in self._services.values()
            if any(one.network == ident for one in service.spec.networks)
        }
        on_it = (
            task
            for task in self._tasks.values()
            if task.service in users or any(place.network == ident for place in task.places)
        )
        return _by_node(on_it), set()

    @property
    def ingress(self) -> str:
        """Id of the ingress network, empty while there is none."""
        found = (ident for ident, net in self._networks.items() if net.overlay.ingress)
        return next(found, "")

    def _where(self, service: Service) -> Iterable[Where]:
        for ident in self._networks_of(service):
            yield ident, service.id

    def _networks_of(self, service: Service) -> Iterable[str]:
        yield from (one.network for one in service.spec.networks)
        yield from (one.network for one in service.addresses)

    # -- what is told --------------------------------------------------------------------

    def assignments(self, node: str, idents: Collection[str] | None = None) -> Json:
        """List tasks of a node in the order in which they came, with the networks that they are on.

        Args:
            idents: those that are wanted, None for all.
        """
        rows, nets = [], dict[str, Any]()
        there = self._of_node.get(node, {})
        wanted_tasks = there if idents is None else [one for one in there if one in idents]
        for task in map(there.__getitem__, wanted_tasks):
            service = self._services.get(task.service)
            spec = self._spec(task, service)
            rows.append({"task": codec.plain(task), "spec": codec.plain(spec)})
            if not task.state.ended:
                wanted = {place.network for place in task.places}
                wanted |= {one.network for one in spec.networks}
                nets |= {net: codec.plain(found) for net, found in self._found(wanted)}
        return {"rows": rows, "networks": nets}

    def lost(self, networks: set[str]) -> set[str]:
        """Return those networks of a set that there are no more."""
        return networks - self._networks.keys()

    def _found(self, idents: Iterable[str]) -> Iterable[tuple[str, Network]]:
        for ident in idents:
            if ident in self._networks:
                yield ident, self._networks[ident]

    def _spec(self, task: Task, service: Service | None) -> ServiceSpec:
        """The specification that a task was made from; the present one where that is not known.

        That one may have networks that the task was never given a place on, and would wait for: it
        is told without them.
        """
        if service is None:
            return ServiceSpec("")
        old, now = service.previous, service.spec
        if old is None or task.version >= service.version or digest(now) == task.template:
            return now
        if digest(old) == task.template:
            return old
        given = EVERYWHERE | {place.network for place in task.places}
        given |= {ident for ident, net in self._networks.items() if net.swarm}
        return replace(now, networks=tuple(one for one in now.networks if one.network in given))

    def services_on(self, network: str) -> set[Where]:
        """Services that there are on a network."""
        return {
            (network, service.id)
            for service in self._services.values()
            if network in self._networks_of(service)
        }

    def virtual(self, where: Where) -> Json | None:
        """A service on a network as its hosts need it, None if it is not on it."""
        network, ident = where
        service = self._services.get(ident)
        if service is None or network not in set(self._networks_of(service)):
            return None
        return dict(codec.plain(self._virtual(network, service)))

    def _virtual(self, network: str, service: Service) -> VirtualService:
        spec = service.spec
        own = next((one for one in spec.networks if one.network == network), None)
        address = next((one for one in service.addresses if one.network == network), None)
        has_address = address is not None and spec.endpoint_mode is EndpointMode.VIP
        return VirtualService(
            service.id,
            network,
            spec.name,
            own.aliases if own else (),
            address.ip if address and has_address else None,
            address.ip6 if address and has_address else None,
            () if own else spec.on_ingress,
            spec.balancing,
            tuple(self._backends(network, service)),
            named_ports=tuple(port for port in spec.ports if port.name) if own else (),
        )

    def _backends(self, network: str, service: Service) -> Iterable[Backend]:
        tasks = self._of_service.get(service.id, {}).values()
        for task in sorted(tasks, key=lambda task: (task.slot, task.node, task.created, task.id)):
            for place in task.places:
                if place.network == network and task.state is TaskState.RUNNING:
                    published = place.endpoint in self._published
                    yield _backend(task, place, service.spec.name, published)


def _by_node(tasks: Iterable[Task]) -> Touched:
    """Ids of tasks by their nodes; one that has none yet concerns nobody."""
    found = defaultdict[str, set[str]](set)
    for task in tasks:
        if task.node:
            found[task.node].add(task.id)
    return found


def _backend(task: Task, place: Place, service: str, published: bool) -> Backend:
    ready = published and task.stands and task.healthy
    return Backend(task.id, task.name(service), place.ip, place.ip6, weight=int(ready), named=ready)


def _balanced(task: Task) -> tuple[object, ...]:
    """Parts of a task that its service's balancing follows."""
    running = task.state is TaskState.RUNNING
    return running, task.stands, task.healthy, task.places, task.node
