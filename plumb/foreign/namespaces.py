"""Network namespaces that no engine has told of: those of `ip netns`, and of processes.

plumb takes those that share a link with this host (the kernel has a number for them here,
RTM_GETNSID, rtnetlink(7)): a service that has shut itself off the network is no part of it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from plumb.foreign.fields import printable
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost, Source
from plumb.kernel.foreign import documents, processes
from plumb.kernel.foreign.processes import Process
from plumb.kernel.net import inventory
from plumb.model.cnm import Sandbox, Status
from plumb.model.net.targets import Member
from plumb.model.observations import Netns

NAMED = "/run/netns"
"""Folder of `ip netns`."""
ETC = "/etc/netns"
"""Folder of folders that `ip netns exec` mounts over /etc (ip-netns(8))."""
Identity = tuple[int, int]


def read(running: Iterable[Process], known: Collection[Identity]) -> ForeignHost:
    """Read the namespaces that nobody has told of.

    Args:
        running: the processes of this machine.
        known: namespaces that are somebody's already, by device and inode.
    """
    first: dict[Identity, Process] = {}
    for each in running:
        first.setdefault(each.namespace, each)
    taken = {*known, processes.identity("")}
    named = [found for found in _named(first) if found[0] not in taken]
    taken |= {identity for identity, _ in named}
    found = [*named, *(each for each in _unnamed(first) if each[0] not in taken)]
    joined = inventory.joined([container.member.place.ns for _, container in found])
    containers = tuple(each for _, each in found if each.member.place.ns in joined)
    return ForeignHost(containers, sources=tuple(each.source for each in containers))


def _named(first: dict[Identity, Process]) -> Iterator[tuple[Identity, ForeignContainer]]:
    for name in documents.names(NAMED):
        path = f"{NAMED}/{name}"
        identity = processes.identity(path)
        if identity is not None:
            process = first.get(identity)
            etc = f"{ETC}/{name}"
            yield (
                identity,
                _container(
                    printable(name),
                    path,
                    process.pid if process else 0,
                    etc if os.path.isdir(etc) else "",
                    Source(Engine.IP_NETNS, path, documents.age(path)),
                ),
            )


def _unnamed(first: dict[Identity, Process]) -> Iterator[tuple[Identity, ForeignContainer]]:
    machine = processes.identity(processes.namespace_file(1))
    for identity, process in first.items():
        if identity == machine:
            continue  # this is a lab on that machine
        path = processes.namespace_file(process.pid)
        name = f"pid:{process.pid} ({printable(process.name)})"
        etc = processes.etc_folder(process.pid)
        yield (identity, _container(name, path, process.pid, etc, Source(Engine.PROCESS, path)))


def _container(name: str, path: str, pid: int, etc: str, source: Source) -> ForeignContainer:
    box = Sandbox(path, name, status=Status.RUNNING)
    return ForeignContainer(name, Member(box, Netns(name, path), ()), pid, etc, source)
