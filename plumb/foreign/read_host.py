"""Reading of all engines on this host.

An engine counts if it runs in the calling thread's network namespace: in a lab, or in a container,
the machine's engines are those of another host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from plumb.errors import PlumbError
from plumb.foreign import others
from plumb.foreign.values import Engine, ForeignHost, Source

DOCKER_SOCKET, PODMAN_SOCKET = "/run/docker.sock", "/run/podman/podman.sock"
SECONDS = 1.0
"""Time for all engines together, however slow they are."""


def read(seconds: float | None = None) -> ForeignHost:
    """Read the containers and networks of all engines on this host.

    Args:
        seconds: the time that engines have for their answers, all together; None: SECONDS.

    Returns:
        What there is; what could not be read is among the sentences of `missing`.
    """
    given = SECONDS if seconds is None else seconds
    begun = time.monotonic()
    podman = podman_socket()
    share = 0.5 if os.path.exists(podman) else 1.0  # a hung dockerd leaves time for Podman
    docker, deadline = docker_socket(), begun + given * share
    answered = _api(docker, Engine.DOCKER, deadline)
    if docker == DOCKER_SOCKET and not os.path.exists(docker):
        for path in others.docker_sockets():
            answered = answered or _api(path, Engine.DOCKER, deadline)
    return others.beside_daemons(answered + _api(podman, Engine.PODMAN, begun + given))


def read_all(seconds: float | None = None, known: Collection[str] = ()) -> ForeignHost:
    """Read all engines, and the network namespaces of `ip netns` and of processes as well.

    Args:
        known: files of the namespaces of plumb's own containers, which are none of those.
    """
    return others.beside_engines(read(seconds), known)


def docker_socket() -> str:
    """Return the path of Docker's socket: DOCKER_HOST's, if that is one."""
    return _named("DOCKER_HOST") or DOCKER_SOCKET


def podman_socket() -> str:
    """Return the path of the socket of Podman's API: CONTAINER_HOST's, if that is one."""
    return _named("CONTAINER_HOST") or PODMAN_SOCKET


def _named(variable: str) -> str:
    """Path of the Unix socket that a variable of the environment names; empty without one."""
    kind, _, path = os.environ.get(variable, "").partition("://")
    return path if kind == "unix" else ""


def _api(path: str, engine: Engine, deadline: float) -> ForeignHost:
    if not os.path.exists(path):
        return ForeignHost()
    from plumb.foreign import docker_api  # lazy: most hosts of plumb's labs have no engine
    from plumb.kernel.foreign import unix_http

    try:
        if not unix_http.serves_this_host(path, deadline):
            return ForeignHost()
        return docker_api.read(path, engine, deadline)
    except PlumbError as error:
        return ForeignHost(sources=(Source(engine, path),), missing=(str(error),))
