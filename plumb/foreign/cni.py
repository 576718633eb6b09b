"""Containers whose networks CNI plugins have made: Kubernetes', nerdctl's.

libcni keeps the result of each plugin under /var/lib/cni/results: the container's id, its
addresses, the network's configuration and the published ports; its namespace stands there as the
sandbox of an interface. The name of a pod is among the arguments; any other container is called by
its id, or by the beginning of one that an engine has drawn.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from plumb.foreign import fields
from plumb.foreign.docker_files import DOCKER_NAMESPACE, Shim
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost, ForeignNetwork, Source
from plumb.frozen import frozen, replace
from plumb.kernel.foreign import documents, processes
from plumb.model.cnm import Endpoint, Ends, Network, Pool, Sandbox, Status
from plumb.model.driver_options import BridgeOptions
from plumb.model.net.targets import Member
from plumb.model.observations import HOST, Netns
from plumb.model.ports import Port

KIND = "cniCacheV1"
DEFAULT_BRIDGE = "cni0"
POD = "K8S_POD_NAME"
DRAWN = re.compile(r"[0-9a-f]{32,}", re.ASCII)
"""An id that an engine has drawn, rather than somebody chosen."""
SHORT = 12
"""Digits of such an id as engines print it."""
Identity = tuple[int, int] | None


def read(
    shims: Iterable[Shim], folder: str, elsewhere: Mapping[str, int] = MappingProxyType({})
) -> ForeignHost:
    """Read the containers of CNI's networks that run, and containerd's others.

    Args:
        shims: containerd's containers.
        folder: where libcni keeps the results.
        elsewhere: first processes of other engines' containers, by id: Podman's may have results.
    """
    known = {
        ident: Named(Shim("", ident, pid), short(ident)) for ident, pid in elsewhere.items()
    } | _known([each for each in shims if each.namespace != DOCKER_NAMESPACE])
    results: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for name in documents.names(folder):
        document = fields.mapping(documents.read(folder, name))
        if fields.text(document, "kind") == KIND:
            ident = fields.text(document, "containerId")
            results.setdefault(ident, []).append((f"{folder}/{name}", document))
    places = {processes.identity(""): Netns(HOST, "")}
    found = [
        container
        for ident, own in results.items()
        if (container := _container(ident, own, known.get(ident), places)) is not None
    ]
    mine = {each.pid for each in found}
    bare = {
        each.shim.pid: each
        for each in known.values()
        if each.shim.namespace and each.shim.pid not in mine
    }
    found += [_bare(each, places) for each in bare.values()]
    nets = {net.id: (net, each.source) for each in found for _, net in each.member.ends}
    return ForeignHost(
        tuple(found),
        networks=tuple(ForeignNetwork(net, net.driver, source) for net, source in nets.values()),
        sources=tuple(each.source for each in found[:1]),
    )


@frozen
class Named:
    """A container of containerd's, and the name that it is called by."""

    shim: Shim
    name: str


def _known(shims: Sequence[Shim]) -> dict[str, Named]:
    """Containers of containerd's by the ids that CNI's plugins were given for them.

    Kubernetes gives a pod's own, ctr and nerdctl put containerd's namespace before it. Two
    namespaces may have the same id; each is called by both then.
    """
    often = Counter(each.ident for each in shims)
    found = {}
    for each in shims:
        full = f"{each.namespace}-{each.ident}"
        named = Named(each, short(each.ident if often[each.ident] == 1 else full))
        found[full] = named
        found.setdefault(each.ident, named)
    return found


def short(ident: str) -> str:
    """An id that an engine has drawn, as engines print it; one that somebody chose, as it is."""
    return ident[:SHORT] if DRAWN.fullmatch(ident) else ident


def _place(file: str, name: str, places: dict[Identity, Netns]) -> Netns:
    """Namespace of a container; that of the first of those that share it, or the host's."""
    return places.setdefault(processes.identity(file), Netns(name, file))


def _bare(named: Named, places: dict[Identity, Netns]) -> ForeignContainer:
    """Container of containerd's of which plumb knows no result."""
    shim, name = named.shim, named.name
    file = processes.namespace_file(shim.pid)
    place = _place(file, name, places)
    mode = "network" if place.ns else "host"
    box = Sandbox(shim.ident, name, mode=mode, status=Status.RUNNING)
    source = Source(Engine.CONTAINERD, file)
    return ForeignContainer(
        name, Member(box, place, ()), shim.pid, processes.etc_folder(shim.pid), source
    )


def _container(
    ident: str,
    results: list[tuple[str, Mapping[str, Any]]],
    named: Named | None,
    places: dict[Identity, Netns],
) -> ForeignContainer | None:
    path, first = results[0]
    pid = named.shim.pid if named else 0
    file = processes.namespace_file(pid) if pid else _sandbox(first)
    if processes.identity(file) in (None, processes.identity("")) or not file:
        return None
    name = _arguments(first).get(POD) or (named.name if named else short(ident))
    place = _place(file, name, places)
    ends = [end for _, document in results for end in _ends(ident, document)]
    member = Member(Sandbox(ident, name, status=Status.RUNNING), place, tuple(ends))
    etc = processes.etc_folder(pid) if pid else ""
    source = Source(Engine.CONTAINERD, path, documents.age(path))
    return ForeignContainer(name, member, pid, etc, source)


def _sandbox(document: Mapping[str, Any]) -> str:
    """File of the namespace that a result is of; empty for a process's, which has ended since."""
    inside = (
        fields.text(each, "sandbox") for each in fields.sequence(document, "result", "interfaces")
    )
    file = fields.text(document, "netns") or next(filter(None, inside), "")
    return "" if file.startswith(processes.FOLDER) else file


def _mac(document: Mapping[str, Any]) -> str:
    """MAC address of the interface in the container."""
    name = fields.text(document, "ifName")
    return next(
        (
            fields.text(each, "mac")
            for each in fields.sequence(document, "result", "interfaces")
            if fields.text(each, "name") == name and fields.text(each, "sandbox")
        ),
        "",
    )


def _arguments(document: Mapping[str, Any]) -> dict[str, str]:
    pairs = (each for each in fields.sequence(document, "cniArgs") if isinstance(each, list))
    return {
        fields.printable(str(key)): fields.printable(str(value))
        for key, value, *_ in (each for each in pairs if len(each) > 1)
    }


def _ends(ident: str, document: Mapping[str, Any]) -> Ends:
    """Endpoint of one result, with its network."""
    addresses = [
        (fields.text(each, "address"), fields.address(fields.text(each, "gateway")))
        for each in fields.sequence(document, "result", "ips")
    ]
    owned = [
        (own, gateway)
        for text, gateway in addresses
        if (own := fields.on_subnet(text, _length(text))) is not None
    ]
    if not owned:
        return []
    net = _network(document)
    pools = tuple(Pool(own.network, None, gateway) for own, gateway in owned)
    four, six = fields.by_version(*(own for own, _ in owned))
    end = Endpoint(
        f"{ident}-{net.name}",
        net.id,
        ident,
        "",
        fields.text(document, "ifName"),
        _mac(document),
        four,
        six,
        ports=tuple(_ports(document)),
    )
    return [(end, replace(net, pools=pools))]


def _length(text: str) -> int:
    found = text.partition("/")[2]
    return int(found) if found.isdecimal() else 0


def _network(document: Mapping[str, Any]) -> Network:
    name = fields.text(document, "networkName")
    plugin = _plugin(document)
    kind = fields.text(plugin, "type")
    bridge = fields.text(plugin, "bridge") or DEFAULT_BRIDGE
    if kind != "bridge":
        return Network(f"cni-{name}", name, "null")
    own = BridgeOptions(name=bridge, masquerade=fields.truth(plugin, "ipMasq"))
    return Network(f"cni-{name}", name, "bridge", bridge=own)


def _plugin(document: Mapping[str, Any]) -> Any:
    """Configuration of a network's first plugin, which makes the interface."""
    text = fields.field(document, "config")
    with suppress(ValueError, TypeError, RecursionError):
        config = json.loads(base64.b64decode(text))
        return next(iter(fields.sequence(config, "plugins")), config)
    return None


def _ports(document: Mapping[str, Any]) -> Iterator[Port]:
    for each in fields.sequence(document, "capabilityArgs", "portMappings"):
        ip = fields.address(fields.text(each, "hostIP") or "0.0.0.0")
        port, target = fields.number(each, "hostPort"), fields.number(each, "containerPort")
        if ip is not None and port and target:
            yield Port(target, fields.text(each, "protocol").lower() or "tcp", ip, port)
