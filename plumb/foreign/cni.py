"""Containers whose networks CNI plugins have made: Kubernetes', nerdctl's.

libcni keeps the result of each plugin under /var/lib/cni/results: the container's id, its
namespace, its addresses, the network's configuration and the published ports. The name of a pod is
among the arguments; any other container is called by the beginning of its id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from plumb.foreign import fields
from plumb.foreign.docker_files import DOCKER_NAMESPACE, Shim
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost, ForeignNetwork, Source
from plumb.frozen import replace
from plumb.kernel.foreign import documents, processes
from plumb.model.cnm import Endpoint, Ends, Network, Pool, Sandbox, Status
from plumb.model.driver_options import BridgeOptions
from plumb.model.net.targets import Member
from plumb.model.observations import Netns
from plumb.model.ports import Port

KIND = "cniCacheV1"
DEFAULT_BRIDGE = "cni0"
POD = "K8S_POD_NAME"


def read(shims: Iterable[Shim], folder: str) -> ForeignHost:
    """Read the containers of CNI's networks that run.

    Args:
        shims: containerd's containers.
        folder: where libcni keeps the results.
    """
    pids = {each.ident: each.pid for each in shims if each.namespace != DOCKER_NAMESPACE}
    results: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for name in documents.names(folder):
        document = fields.mapping(documents.read(folder, name))
        if fields.text(document, "kind") == KIND:
            ident = fields.text(document, "containerId")
            results.setdefault(ident, []).append((f"{folder}/{name}", document))
    found = [
        container
        for ident, own in results.items()
        if (container := _container(ident, own, pids.get(ident, 0))) is not None
    ]
    found += [_bare(ident, pid) for ident, pid in pids.items() if ident not in results]
    nets = {net.id: (net, each.source) for each in found for _, net in each.member.ends}
    return ForeignHost(
        tuple(found),
        networks=tuple(ForeignNetwork(net, net.driver, source) for net, source in nets.values()),
        sources=tuple(each.source for each in found[:1]),
    )


def _bare(ident: str, pid: int) -> ForeignContainer:
    """Container of containerd's of which plumb knows no result."""
    name, file = ident[:12], processes.namespace_file(pid)
    member = Member(Sandbox(ident, name, status=Status.RUNNING), Netns(name, file), ())
    source = Source(Engine.CONTAINERD, file)
    return ForeignContainer(name, member, pid, processes.etc_folder(pid), source)


def _container(
    ident: str, results: list[tuple[str, Mapping[str, Any]]], pid: int
) -> ForeignContainer | None:
    path, first = results[0]
    file = processes.namespace_file(pid) if pid else fields.text(first, "netns")
    if processes.identity(file) in (None, processes.identity("")) or not file:
        return None
    name = _arguments(first).get(POD) or ident[:12]
    ends = [end for _, document in results for end in _ends(ident, document)]
    member = Member(Sandbox(ident, name, status=Status.RUNNING), Netns(name, file), tuple(ends))
    etc = processes.etc_folder(pid) if pid else ""
    source = Source(Engine.CONTAINERD, path, documents.age(path))
    return ForeignContainer(name, member, pid, etc, source)


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
        "",
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
