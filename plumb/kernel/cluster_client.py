"""Client of this node's cluster process.

A process that was killed is started again by the first request of a command; without a cluster
there is none, and no cost but a look for a file. Requests and answers are JSON; the engine makes
values of them (`engine.cluster.client`).
"""

from __future__ import annotations

import errno
import json
from typing import Any

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel import agent_socket
from plumb.kernel.cluster import failures, places
from plumb.kernel.cluster.words import ADVICE, NOT_IN_SWARM
from plumb.model.paths import Layout

ANSWER = 60.0
"""Seconds of silence; a process that works on a request gives a sign of life every five."""
ENTRY = 300.0
"""The same where this node comes into a cluster: certificates, a member of etcd and the ingress
network are made then, one after the other, on a machine that may be busy."""
ENTRIES = ("init", "join")
Json = dict[str, Any]


def ask(layout: Layout, name: str, body: Json, start: bool = False) -> Any:
    """Ask the cluster process of a root.

    Args:
        layout: the root's.
        name, body: the request, of `agent.cluster.local` or `agent.cluster.manager.requests`.
        start: start the process even where this root is in no cluster, so that it comes into one.

    Raises:
        Unsupported: this root is in no cluster.
        PlumbError: as the process or a manager refuses it.
        KernelRefused: the process is gone, or silent; one that works on is waited for.
    """
    from plumb.kernel.cluster import process

    if not process.ensure(layout):
        if not start:
            raise Unsupported(NOT_IN_SWARM, ADVICE)
        process.start(layout)
    return ask_running(places.folder(layout), name, body)


def ask_running(folder: str, name: str, body: Json) -> Any:
    """Ask the cluster process that has its socket in a folder, which is not started; as `ask`."""
    try:
        answer = _exchange(folder, {"ask": name, "body": body})
    except OSError as error:
        raise KernelRefused(
            f"ask this node's cluster process to {name}",
            error.errno or errno.ETIMEDOUT,
            hint=f"'plumb repair' starts it again; its log is {folder}/cluster.log",
        ) from None
    if "error" in answer:
        raise failures.decoded(answer)
    return answer["answer"]


def _exchange(folder: str, request: Json) -> Json:
    seconds = ENTRY if request["ask"] in ENTRIES else ANSWER
    with agent_socket.connect(folder, seconds) as process:
        process.sendall(json.dumps(request).encode() + b"\n")
        with process.makefile("rb") as heard:
            line = heard.readline()
    if not line.endswith(b"\n"):
        raise ConnectionResetError(errno.ECONNRESET, "it hung up")
    answer: Json = json.loads(line)
    return answer
