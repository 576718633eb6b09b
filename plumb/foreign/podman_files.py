"""Podman's containers without its API: from conmon, which watches over each of them.

Podman has no daemon, and its API's service runs only where somebody starts it. Its database is
SQLite or BoltDB by version. But each container has a conmon as parent of its first process, whose
command line has the container's id (-c), its name (-n), its folder (-b), and the folder of the
networks' files. Addresses are those that the namespace's own links show; published ports stand in
netavark's rules.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from plumb.address import IPAddress, IPInterface
from plumb.errors import KernelRefused, PlumbError
from plumb.foreign import docker_api, fields, netavark, podman
from plumb.foreign.docker_files import IDENT
from plumb.foreign.netavark import Forwarded
from plumb.foreign.values import Engine, ForeignHost, Source
from plumb.frozen import frozen, replace
from plumb.kernel.foreign import documents, processes
from plumb.kernel.foreign.processes import Process
from plumb.kernel.net.host_links import addresses_of
from plumb.kernel.net.inventory import LinkInventory
from plumb.model.cnm import Sandbox, Status
from plumb.model.observations import Netns

CONMON = "conmon"
RUNTIMES = frozenset({CONMON, "crun", "runc"})
"""Names of programs that are no container's, or not yet."""
RUNC_INIT = "runc:["
"""Beginning of the name of runc's first program in a container."""
NETWORKS = "/etc/containers/networks"
"""Folder of the networks' files, unless containers.conf names another."""
DEFAULT_BRIDGE = "podman0"
ByTarget = Mapping[IPAddress, Sequence[Forwarded]]
"""Published ports by the address that they lead to."""
Own = Sequence[tuple[str, str, IPInterface]]
"""A namespace's addresses: link, its MAC address, address."""


@frozen
class Watched:
    """A container that runs.

    Attributes:
        ident, name: its id and name; process: its first process.
        networks: the folder of the networks' files; bundle: its own folder.
        conmon: the process that watches over it, which has these folders in its mount namespace.
    """

    ident: str
    name: str
    process: Process
    conmon: int
    networks: str
    bundle: str


def read(running: Iterable[Process]) -> ForeignHost:
    """Read the containers of root's Podman that run in the calling thread's namespace.

    A process can give itself any name and any words: a conmon is one that root runs, in plumb's own
    PID namespace, which a container's processes have one below.

    Args:
        running: the processes of this machine.
    """
    found = list(_watched(running))
    if not found:
        return ForeignHost()
    nets = [podman.network(each) for each in _networks(found)]
    ports: dict[IPAddress, list[Forwarded]] = {}
    missing: tuple[str, ...] = ()
    try:
        for each in netavark.forwarded():
            ports.setdefault(each.target, []).append(each)
    except KernelRefused as refused:
        missing = (f"published ports of Podman's containers: {refused}",)
    source = Source(Engine.PODMAN, CONMON)
    boxes = list(_documents(found, nets, ports))
    read = docker_api.of_documents(nets, boxes, source)
    known = {box.ident for box in found}
    stopped = tuple((box, source) for box in _stopped(found, known))
    return replace(read, stopped=stopped, missing=(*read.missing, *missing))


def _watched(running: Iterable[Process]) -> Iterator[Watched]:
    here = processes.identity("")
    by_age = sorted(running, key=lambda each: (each.started, each.pid))
    parents = {each.pid for each in by_age if each.name == CONMON and each.namespace == here}
    done: set[int] = set()
    yielded: set[str] = set()
    for each in by_age:
        mine = each.parent in parents and each.parent not in done
        if mine and not _early(each) and processes.is_root_s(each.parent) and _outside(each.parent):
            done.add(each.parent)
            box = _named(each)
            if box is not None and box.ident not in yielded:  # `podman exec` has a conmon, too
                yielded.add(box.ident)
                yield box


def _early(process: Process) -> bool:
    """Test for a conmon's child that is not in its container yet.

    A container's process can have any name, but not the runtime's root folder.
    """
    named = process.name in RUNTIMES or process.name.startswith(RUNC_INIT)
    return named and processes.same_root(process.pid, process.parent)


def _outside(conmon: int) -> bool:
    """Test for a process in plumb's own PID namespace."""
    own = processes.identity(processes.pid_namespace_file())
    return own is not None and processes.identity(processes.pid_namespace_file(conmon)) == own


def _named(process: Process) -> Watched | None:
    """The container of a conmon's child; None where conmon's words are none of Podman's.

    CRI-O has conmon, too. Podman gives it itself as the program to run at the container's end.
    """
    words = processes.command_line(process.parent)
    if os.path.basename(processes.option(words, "--exit-command")) != Engine.PODMAN:
        return None
    ident, name = processes.option(words, "-c"), processes.option(words, "-n")
    if not IDENT.fullmatch(ident) or not name:
        return None
    at_end = [after for word, after in pairwise(words) if word == AT_END]
    folder = processes.option(at_end, "--network-config-dir") or NETWORKS
    bundle = processes.option(words, "-b")
    return Watched(ident, fields.printable(name), process, process.parent, folder, bundle)


AT_END = "--exit-command-arg"


def _inside(box: Watched, folder: str) -> str:
    """Path of a folder in the mount namespace of a container's conmon."""
    return f"{processes.root_folder(box.conmon)}{folder}"


def _networks(found: Iterable[Watched]) -> list[Any]:
    """Podman's documents of the networks."""
    folders = {_folder(each): each for each in found}
    read = [
        document
        for folder in folders
        for name in documents.names(folder)
        if name.endswith(".json") and fields.text(document := documents.read(folder, name), "name")
    ]
    links = {fields.text(each, "network_interface") for each in read}
    return read if DEFAULT_BRIDGE in links else [*read, *_default()]


def _folder(box: Watched) -> str:
    return _inside(box, box.networks)


def _default() -> Iterator[Any]:
    """Document of the default network, which has a file only where somebody has changed it."""
    if documents.has_link(DEFAULT_BRIDGE):
        own = addresses_of(DEFAULT_BRIDGE, 4)
        yield {
            "name": podman.DEFAULT,
            "id": hashlib.sha256(podman.DEFAULT.encode()).hexdigest(),
            "driver": "bridge",
            "network_interface": DEFAULT_BRIDGE,
            "subnets": [{"subnet": str(ip.network), "gateway": str(ip.ip)} for ip in own],
        }


def _documents(
    found: Sequence[Watched], nets: Sequence[Any], ports: ByTarget
) -> Iterator[dict[str, Any]]:
    """Documents of the containers, as Docker's API would send them."""
    owners = {processes.identity(""): "host"}
    for box in found:
        mode = owners.setdefault(box.process.namespace, f"container:{box.ident}")
        shares = mode != f"container:{box.ident}"
        own = [] if shares else _addresses(box.process.pid)
        ends = dict(_ends(box.ident, own, nets))
        published = _published(own, ports)
        yield {
            "Name": box.name,
            "Id": box.ident,
            "HostConfig": {
                "NetworkMode": mode if shares else "bridge" if ends else "none",
                "PortBindings": published,
            },
            "NetworkSettings": {"Networks": ends, "Ports": published},
            "State": {"Status": "running", "Running": True, "Pid": box.process.pid},
        }


def _addresses(pid: int) -> Own:
    """Addresses in a process's namespace; none where it has ended."""
    try:
        with LinkInventory(Netns("", processes.namespace_file(pid))) as there:
            links = there.links()
            macs = {link.name: link.mac for link in links}
            return [(dev, macs.get(dev, ""), ip) for dev, ip in there.given_addresses(links)]
    except PlumbError:
        return []


def _ends(ident: str, own: Own, nets: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Endpoints, by their networks' names: those networks in whose subnets an address is."""
    for net in nets:
        end: dict[str, Any] = {}
        for config in net["IPAM"]["Config"]:
            subnet = fields.subnet(config["Subnet"])
            for _, mac, ip in own if subnet is not None else ():
                if subnet is not None and ip.version == subnet.version and ip.ip in subnet:
                    end |= _addressed(ip, config["Gateway"], mac)
        if end:
            yield (
                net["Name"],
                {**end, "NetworkID": net["Id"], "EndpointID": f"{ident}-{net['Name']}"},
            )


def _addressed(ip: IPInterface, gateway: str, mac: str) -> dict[str, Any]:
    if ip.version == 4:
        found = {"IPAddress": str(ip.ip), "IPPrefixLen": ip.network.prefixlen, "Gateway": gateway}
    else:
        found = {
            "GlobalIPv6Address": str(ip.ip),
            "GlobalIPv6PrefixLen": ip.network.prefixlen,
            "IPv6Gateway": gateway,
        }
    return {**found, "MacAddress": mac}


def _published(own: Own, ports: ByTarget) -> dict[str, list[Mapping[str, str]]]:
    """Ports that lead to one of a namespace's addresses, as the API would send them."""
    mine = dict.fromkeys(ip.ip for _, _, ip in own)
    found: dict[str, list[Mapping[str, str]]] = {}
    for each in (one for ip in mine for one in ports.get(ip, ())):
        binding = {"HostIp": each.host_ip, "HostPort": str(each.host_port)}
        there = found.setdefault(f"{each.port}/{each.protocol}", [])
        if binding not in there:
            there.append(binding)
    return found


def _stopped(found: Iterable[Watched], running: Iterable[str]) -> Iterator[Sandbox]:
    """Containers in the same storage that do not run: its list has their ids and names."""
    yielded = set(running)
    folders = {_inside(each, os.path.dirname(os.path.dirname(each.bundle))) for each in found}
    for folder in sorted(folders):
        for each in _listed(documents.read(folder, "containers.json")):
            ident, names = fields.text(each, "id"), fields.words(each, "names")
            if ident and names and ident not in yielded:
                yielded.add(ident)
                yield Sandbox(ident, names[0], status=Status.EXITED)


def _listed(document: Any) -> Sequence[Any]:
    return document if isinstance(document, list) else ()
