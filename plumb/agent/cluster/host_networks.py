"""The cluster's networks on this host: what changes elsewhere, carried out here by the engine.

It is an operation like any command's, with the writers' turn, a journal and a plan. So it is in a
thread of its own, and never in one that answers a command: that command may have the turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from plumb.engine.cluster import node, tasks
from plumb.engine.cluster.tasks import Output
from plumb.model.cluster import Encryption, Node, RemoteEndpoint
from plumb.model.cnm import Sandbox
from plumb.model.paths import Layout
from plumb.model.ports import ServicePort
from plumb.model.service.assignment import Assignment
from plumb.model.service.virtual import VirtualService


class HostNetworks:
    """The networks of a root.

    Args:
        layout: the root's.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout, self._turn = layout, threading.Lock()

    def check_names(self, wanted: Sequence[str] = ()) -> None:
        """Refuse a host whose own networks have names that its part in a cluster needs."""
        with node.host_of(self._layout) as host:
            node.check_names(host, wanted)

    def join(self) -> None:
        """Build this host's part in the ingress network, unless it is there."""
        with self._turn, node.host_of(self._layout) as host:
            node.join(host)

    def follow(self, network: str, remotes: tuple[RemoteEndpoint, ...]) -> None:
        """Make a network's endpoints on other hosts those of a listing."""
        with self._turn, node.host_of(self._layout) as host:
            node.follow(host, {network: remotes})

    def follow_ingress(self, network: str) -> None:
        """Build this host's part in the ingress network of that id, in place of another one's."""
        with self._turn, node.host_of(self._layout) as host:
            node.follow_ingress(host, network)

    def output(self, task: str, tail: int | None, offset: int) -> Output:
        """Read what a task's command has printed; see `engine.cluster.tasks.output`."""
        with node.host_of(self._layout) as host:
            return tasks.output(host, task, tail, offset)

    def tasks(self) -> tuple[tuple[Sandbox, tuple[ServicePort, ...]], ...]:
        """List containers that are tasks, each with its ports of mode host."""
        with node.host_of(self._layout) as host:
            return tuple((box, tasks.ports(host, box)) for box in tasks.here(host))

    def begin(self, assignments: Sequence[Assignment], own: Node) -> None:
        """Build the containers of tasks of this node, all of them or none."""
        with self._turn, node.host_of(self._layout) as host:
            tasks.begin(host, assignments, own)

    def finish(self, over: Iterable[tuple[str, int | None]], gone: Iterable[str]) -> None:
        """Take networks of containers away whose commands have ended, and remove others."""
        with self._turn, node.host_of(self._layout) as host:
            tasks.finish(host, over, gone)

    def folder(self, box: Sandbox) -> str:
        """Folder of a container's command."""
        return self._layout.container(box.id)

    def balance(self, network: str, services: Sequence[VirtualService]) -> None:
        """Make a network's services those of a listing.

        Raises:
            PlumbError: one of them could not be built; the others are.
        """
        with self._turn, node.host_of(self._layout) as host:
            node.balance(host, network, services)

    def encrypt(self, keys: Encryption) -> None:
        """Use these keys for the encrypted networks that have a part on this host."""
        with self._turn, node.host_of(self._layout) as host:
            node.encrypt(host, keys)

    def unknown(self, endpoints: Sequence[str]) -> list[str]:
        """List those of some endpoints, by their ids, that this host does not have."""
        with self._turn, node.host_of(self._layout) as host:
            return node.unknown(host, endpoints)

    def withdrawn(self, endpoints: Sequence[str]) -> list[str]:
        """List those of some endpoints that are published, and that this host has taken away."""
        with self._turn, node.host_of(self._layout) as host:
            return node.withdrawn(host, endpoints)

    def depart(self) -> None:
        """Take this host's part in the cluster's networks away."""
        with self._turn, node.host_of(self._layout) as host:
            node.depart(host)
