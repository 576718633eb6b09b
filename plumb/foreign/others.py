"""Containers and namespaces that no daemon has told of."""

from __future__ import annotations

import os
from collections.abc import Collection

from plumb.foreign import namespaces, rootless
from plumb.foreign.values import Engine, ForeignHost
from plumb.frozen import replace
from plumb.kernel.foreign import processes

CNI_RESULTS = "/var/lib/cni/results"
DOCKER_FOLDERS = ("/run/containerd", "/var/lib/docker/containers")
"""Folders that a host with containers of Docker's has."""
PODMAN_FOLDER = "/run/libpod"
"""Folder that a host has on which root's Podman has run since the boot."""


def docker_sockets() -> list[str]:
    """List the sockets that a dockerd serves which runs here, where it is told other ones.

    plumb looks at the processes only on a host that shows a sign of Docker.
    """
    if not any(map(os.path.isdir, DOCKER_FOLDERS)):
        return []
    from plumb.foreign import docker_files  # lazy: few hosts have Docker

    found = docker_files.daemons_of(processes.running())
    return [path for each in found for path in each.sockets]


def beside_daemons(found: ForeignHost) -> ForeignHost:
    """Add Docker's and Podman's containers, where they have not answered, and CNI's networks'.

    plumb looks at the processes only on a host that shows a sign of such, for there may be
    thousands of them.

    Args:
        found: what the engines have answered, and which of them have not.
    """
    answered = {each.source.engine for each in found.networks}
    docker, podman = Engine.DOCKER in answered, Engine.PODMAN in answered
    signs = (
        CNI_RESULTS,
        *(() if docker else DOCKER_FOLDERS),
        *(() if podman else (PODMAN_FOLDER,)),
    )
    if rootless.has_signs():
        found = replace(found, missing=(*found.missing, *rootless.unseen(processes.running())))
    if not found.missing and not any(map(os.path.isdir, signs)):
        return found
    from plumb.foreign import cni, docker_files, podman_files  # lazy: few hosts have any of these

    running = processes.running()
    if not docker and (read := docker_files.read(running)):
        kept = tuple(each for each in found.sources if each.engine is not Engine.DOCKER)
        found = replace(found, sources=kept) + read
    if not podman and (of_podman := podman_files.read(running)):
        kept = tuple(each for each in found.sources if each.engine is not Engine.PODMAN)
        found = replace(found, sources=kept) + of_podman
    pids = {
        each.member.box.id: each.pid
        for each in found.containers
        if each.source.engine is Engine.PODMAN
    }
    return _with(found, cni.read(docker_files.shims(running), CNI_RESULTS, pids))


def _with(found: ForeignHost, of_cni: ForeignHost) -> ForeignHost:
    """Add CNI's containers; the results of Podman's own tell where those are connected."""
    own = {each.member.box.id: each.member.ends for each in of_cni.containers}
    known = {each.member.box.id for each in found.containers}
    joined = tuple(
        replace(each, member=replace(each.member, ends=own.get(each.member.box.id, ())))
        if not each.member.ends
        else each
        for each in found.containers
    )
    others = tuple(each for each in of_cni.containers if each.member.box.id not in known)
    used = {net.id for each in (*joined, *others) for _, net in each.member.ends}
    nets = tuple(each for each in of_cni.networks if each.network.id in used)
    sources = of_cni.sources if others else ()
    return replace(found, containers=joined) + ForeignHost(
        others, networks=nets, sources=sources, missing=of_cni.missing
    )


def beside_engines(found: ForeignHost, known: Collection[str]) -> ForeignHost:
    """Add the namespaces that no engine has told of.

    Args:
        known: files of namespaces that are somebody's already.
    """
    files = [*known, *(each.member.place.ns for each in found.containers)]
    identities = {own for file in files if (own := processes.identity(file)) is not None}
    return found + namespaces.read(processes.running(), identities)
