"""Docker's containers without its daemon: from its files, and from the processes that go on.

Containers outlive a dockerd that is dead, stopped or hung. Each has a containerd-shim, which names
it and is the parent of its first process; its folder below the data root has the document that the
API would send (config.v2.json, hostconfig.json), as it was when dockerd last wrote it. What is
published stands in docker-proxy's command lines as well. The networks' own database is not JSON,
so a network is known by what its endpoints say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plumb.foreign import docker_api, fields
from plumb.foreign.docker import BRIDGE_NAME
from plumb.foreign.values import Engine, ForeignHost, Source
from plumb.frozen import frozen
from plumb.kernel.foreign import dockerd, documents, processes
from plumb.kernel.foreign.dockerd import Dockerd
from plumb.kernel.foreign.processes import Process

DOCKER_NAMESPACE = "moby"
"""Docker's namespace of containerd."""
DEFAULT_BRIDGE = "docker0"
IDENT = re.compile(r"[A-Za-z0-9][\w.-]{0,254}", re.ASCII)
"""An id of containerd's; it is the name of a folder as well."""
SHIM = "containerd-shim"
"""The beginning of the name of a shim."""


@frozen
class Shim:
    """A container of containerd's that runs.

    Attributes:
        namespace: containerd's word for who made it: "moby" for Docker, "k8s.io", "default".
        ident: the container's id; pid: its first process.
    """

    namespace: str
    ident: str
    pid: int


def shims(running: Iterable[Process]) -> Iterator[Shim]:
    """List the containers of containerd's whose shims are in the calling thread's namespace.

    A process can give itself any name and any words: a shim is one that root runs. Of its children
    the container's first process is the oldest; `docker exec` adds others.

    Args:
        running: the processes of this machine.
    """
    here = processes.identity("")
    by_age = sorted(running, key=lambda each: (each.started, each.pid))
    parents = {
        each.pid: each for each in by_age if each.name.startswith(SHIM) and each.namespace == here
    }
    found: dict[tuple[str, str], Shim] = {}
    for each in by_age:
        parent = parents.get(each.parent)
        if parent is not None and not _is_runtime_s(each) and processes.is_root_s(parent.pid):
            words = processes.command_line(parent.pid)
            ident = processes.option(words, "-id")
            namespace = processes.option(words, "-namespace")
            if IDENT.fullmatch(ident):
                found.setdefault((namespace, ident), Shim(namespace, ident, each.pid))
    yield from found.values()


def _is_runtime_s(process: Process) -> bool:
    """Test for runc, for its half-made container, or for a shim that starts a shim."""
    return process.name == "runc" or process.name.startswith(("runc:[", SHIM))


def read(running: Iterable[Process]) -> ForeignHost:
    """Read the containers of Docker's that run.

    Args:
        running: the processes of this machine.
    """
    running = list(running)
    found = {each.ident: each for each in shims(running) if each.namespace == DOCKER_NAMESPACE}
    ports, daemons = list(_proxied(running)), daemons_of(running)
    roots = list(_data_roots(daemons))
    known = [(each, _folder(each, roots)) for each in found.values()]
    containers = [_document(each, folder, ports) for each, folder in known]
    folders = {folder for _, folder in known if folder}
    if not containers:
        return ForeignHost()
    ages = (documents.age(f"{folder}/config.v2.json") for folder in folders)
    source = Source(Engine.DOCKER, _origin(folders), max(ages, default=0.0))
    default = next((each.text("bridge") for each in daemons), "") or DEFAULT_BRIDGE
    return docker_api.of_documents(list(_networks(containers, default)), containers, source)


def daemons_of(running: Iterable[Process]) -> list[Dockerd]:
    """List the dockerds in the calling thread's network namespace.

    Args:
        running: the processes of this machine.
    """
    here = processes.identity("")
    mine = ((each.pid, each.name) for each in running if each.namespace == here)
    return list(dockerd.among(mine))


def _origin(folders: Iterable[str]) -> str:
    found = next((folder.rpartition("/")[0] for folder in sorted(folders)), "processes")
    return fields.printable(found)


def _data_roots(daemons: Iterable[Dockerd]) -> Iterator[str]:
    """Folders in which Docker's data may be, of a dockerd that runs and of one that does not."""
    for each in daemons:
        root = each.text("data-root", dockerd.DATA_ROOT)
        yield from (root, f"{each.root}{root}")
    folder, file = os.path.split(dockerd.CONFIG)
    yield fields.text(documents.read(folder, file), "data-root") or dockerd.DATA_ROOT


def _folder(shim: Shim, roots: Iterable[str]) -> str:
    """Folder of a container; empty where none has its document.

    Its resolv.conf is mounted from there, or from that of the container whose namespace it shares:
    so the folder of all containers is known, whatever the data root.
    """
    sources = processes.bind_source(shim.pid, "/etc/resolv.conf")
    known = [source.rsplit("/", 2)[0] for source in sources]
    folders = [*known, *(f"{root}/containers" for root in roots)]
    candidates = [f"{folder}/{shim.ident}" for folder in folders]
    return next(
        (each for each in candidates if documents.read(each, "config.v2.json") is not None), ""
    )


def _document(
    shim: Shim, folder: str, ports: Iterable[tuple[str, str, Mapping[str, str]]]
) -> dict[str, Any]:
    """Document of a container, as the API would send it."""
    config = fields.mapping(documents.read(folder, "config.v2.json") if folder else None)
    host = fields.mapping(documents.read(folder, "hostconfig.json") if folder else None)
    settings = dict(fields.mapping(config, "NetworkSettings"))
    if not settings.get("Ports"):
        settings["Ports"] = _ports_of(settings, ports)
    return {
        "Name": shim.ident[:12],
        **config,
        "Id": shim.ident,
        "HostConfig": host,
        "NetworkSettings": settings,
        "State": {"Status": "running", "Running": True, "Pid": shim.pid},
    }


def _proxied(running: Iterable[Process]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Published ports by docker-proxy: container's address, its port, and the binding."""
    here = processes.identity("")
    for each in running:
        if each.name != "docker-proxy" or each.namespace != here:
            continue
        words = processes.command_line(each.pid)
        target, port, protocol, ip, number = (
            processes.option(words, f"-{name}")
            for name in ("container-ip", "container-port", "proto", "host-ip", "host-port")
        )
        yield target, f"{port}/{protocol}", {"HostIp": ip, "HostPort": number}


def _ports_of(
    settings: Mapping[str, Any], proxied: Iterable[tuple[str, str, Mapping[str, str]]]
) -> dict[str, list[Mapping[str, str]]]:
    """Ports of a container by docker-proxy's command lines, as the API would send them."""
    own = {
        fields.text(end, key)
        for end in fields.mapping(settings, "Networks").values()
        for key in ("IPAddress", "GlobalIPv6Address")
    } - {""}
    found: dict[str, list[Mapping[str, str]]] = {}
    for target, port, binding in proxied:
        if target in own:
            found.setdefault(port, []).append(binding)
    return found


def _networks(containers: Iterable[Any], default: str) -> Iterator[dict[str, Any]]:
    """Documents of networks, of what their endpoints say.

    Args:
        default: bridge of the network called "bridge".
    """
    yielded = set()
    for container in containers:
        for name, end in fields.mapping(container, "NetworkSettings", "Networks").items():
            ident = fields.text(end, "NetworkID")
            if ident and ident not in yielded:
                yielded.add(ident)
                yield _network(name, ident, end, default)


def _network(name: str, ident: str, end: Any, default: str) -> dict[str, Any]:
    named = default if name == "bridge" else ""
    bridge = named or f"br-{ident[:12]}"
    drivers = {"host": "host", "none": "null"}
    driver = "bridge" if documents.has_link(bridge) else drivers.get(name, "null")
    return {
        "Id": ident,
        "Name": name,
        "Driver": driver,
        "EnableIPv6": bool(fields.text(end, "GlobalIPv6Address")),
        "Options": {BRIDGE_NAME: named} if named else {},
        "IPAM": {"Config": list(_subnets(end))},
    }


def _subnets(end: Any) -> Iterator[dict[str, str]]:
    for ip, length, gateway in (
        ("IPAddress", "IPPrefixLen", "Gateway"),
        ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"),
    ):
        own = fields.on_subnet(fields.text(end, ip), fields.number(end, length))
        if own is not None:
            yield {"Subnet": str(own.network), "Gateway": fields.text(end, gateway)}
