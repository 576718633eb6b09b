"""Questions to Docker's Engine API: its networks and containers (GET requests only).

The list of containers lacks their processes, DNS settings and aliases, so plumb asks for each
container's own document, too. Each is asked for at its path without a version, which the daemon
takes for its newest. Podman serves the same API, but for its networks, and fills it in otherwise
(`foreign.podman`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plumb.errors import NotFound
from plumb.foreign import docker, fields, podman
from plumb.foreign.docker import Described
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost, ForeignNetwork, Source
from plumb.kernel.foreign import processes, unix_http
from plumb.model.cnm import Network, Sandbox, Status
from plumb.model.net.targets import Member
from plumb.model.observations import HOST, Netns


def read(path: str, engine: Engine, deadline: float) -> ForeignHost:
    """Ask an engine for all it has.

    Args:
        path: the API's socket.
        deadline: the time of `time.monotonic()` at which plumb gives up.

    Raises:
        Broken: the engine does not answer, or not in time.
    """
    version = unix_http.get(path, "/version", deadline)
    source = Source(engine, path, version=fields.text(version, "Version"))
    if engine is Engine.PODMAN:
        return _of_podman(path, podman.networks_path(version), source, deadline)
    networks = _listed(unix_http.get(path, "/networks", deadline))
    return of_documents(networks, list(_documents(path, deadline)), source)


def _of_podman(path: str, networks: str, source: Source, deadline: float) -> ForeignHost:
    nets = [podman.network(each) for each in _listed(unix_http.get(path, networks, deadline))]
    ids = {each["Name"]: each["Id"] for each in nets}
    boxes = [podman.container(each, ids) for each in _documents(path, deadline)]
    return of_documents(nets, boxes, source)


def _documents(path: str, deadline: float) -> Iterator[Any]:
    for row in _listed(unix_http.get(path, "/containers/json?all=1", deadline)):
        ident = fields.text(row, "Id")
        if not ident.isalnum():
            continue
        try:
            yield unix_http.get(path, f"/containers/{ident}/json", deadline)
        except NotFound:  # removed between the two questions
            continue


def _listed(document: Any) -> list[Any]:
    return document if isinstance(document, list) else []


def of_documents(networks: list[Any], containers: list[Any], source: Source) -> ForeignHost:
    """Make values of the API's documents."""
    named = {fields.text(each, "Name"): docker.network(each) for each in networks}
    drivers = {fields.text(each, "Id"): fields.text(each, "Driver") for each in networks}
    nets = {net.id: docker.with_gateways(net, _ends_on(containers, net)) for net in named.values()}
    boxes = [docker.container(each, nets) for each in containers]
    return ForeignHost(
        tuple(_running(boxes, source)),
        tuple((each.box, source) for each in boxes if each.box.status is not Status.RUNNING),
        tuple(ForeignNetwork(net, drivers[net.id], source) for net in nets.values()),
        (source,),
    )


def _ends_on(containers: Iterable[Any], net: Network) -> Iterator[Any]:
    for each in containers:
        for end in fields.mapping(each, "NetworkSettings", "Networks").values():
            if fields.text(end, "NetworkID") == net.id:
                yield end


def _running(boxes: Iterable[Described], source: Source) -> Iterator[ForeignContainer]:
    """Containers with a process, those first that have a namespace of their own."""
    running = [each for each in boxes if each.box.status is Status.RUNNING and each.pid]
    places: dict[str, Netns] = {}
    for each in sorted(running, key=lambda one: bool(one.box.target)):
        places[each.box.id] = place = _place(each.box, each.pid, places)
        etc = processes.etc_folder(each.pid)
        member = Member(each.box, place, each.ends)
        yield ForeignContainer(each.box.name, member, each.pid, etc, source)


def _place(box: Sandbox, pid: int, places: Mapping[str, Netns]) -> Netns:
    if box.mode == "host":
        return Netns(HOST, "")
    return places.get(box.target) or Netns(box.name, processes.namespace_file(pid))
