"""Services of a node's networks, and its own tasks, as the stream of changes has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from plumb.model.cluster import Attached, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Place, Task
from plumb.model.service.virtual import VirtualService
from plumb.store import codec

Json = dict[str, Any]
Remotes = Callable[[str], tuple[RemoteEndpoint, ...]]
Balance = Callable[[str, tuple[VirtualService, ...]], None]
AGAIN = 5.0
"""Seconds until a network that could not be balanced is tried again; others do not wait for it."""


class StreamServices:
    """Services and tasks by the last lines of the stream.

    Attributes:
        revision: of the tasks that the services follow from.
        failed: networks that could not be balanced, each with the moment of the next try.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: dict[str, dict[str, VirtualService]] = {}
        self._changed: set[str] = set()
        self.failed: dict[str, float] = {}
        self._assigned: Json | None = None
        self.revision = 0

    def take(self, change: Json) -> bool:
        """Take a line of the stream; True if there is something to balance anew."""
        with self._lock:
            if change.get("all"):
                self._changed |= set(self._services)
                self._services.clear()
            for network, ident, value in change.get("services", ()):
                known = self._services.setdefault(network, {})
                if value is None:
                    known.pop(ident, None)
                else:
                    known[ident] = codec.decode(VirtualService, value)
                self._changed.add(network)
            for network in change.get("left", ()):
                if self._services.pop(network, None) is not None:
                    self._changed.add(network)
            self.revision = int(change.get("tasks_revision", self.revision))
            self._assigned = change.get("tasks", self._assigned)
            return bool(self._changed)

    @property
    def waits(self) -> bool:
        """True if services have changed that were not balanced since, or a next try is due."""
        now = time.monotonic()
        return bool(self._changed) or any(when <= now for when in list(self.failed.values()))

    def mark(self, networks: set[str]) -> None:
        """Have networks balanced although no service of theirs has changed."""
        with self._lock:
            self._changed |= networks & self._services.keys()

    def balance(self, balance: Balance, complain: Callable[[str], None]) -> int:
        """Have all networks balanced whose services have changed, or whose next try is due.

        Returns:
            The revision of the tasks that is balanced by now; 0 while a network could not be.
        """
        now = time.monotonic()
        with self._lock:
            changed = self._changed | {net for net, when in self.failed.items() if when <= now}
            self._changed = set()
            revision = self.revision
            wanted = {net: tuple(self._services.get(net, {}).values()) for net in changed}
        for network, services in sorted(wanted.items()):
            try:
                balance(network, services)
                self.failed.pop(network, None)
            except Exception as error:
                complain(f"cannot balance the services of network {network[:12]}: {error}")
                self.failed[network] = time.monotonic() + AGAIN
        return 0 if self.failed else revision

    def assignments(self, remotes: Remotes) -> tuple[Assignment, ...] | None:
        """Return this node's tasks; None before the stream has had any.

        Args:
            remotes: returns the endpoints of a network on other nodes.
        """
        with self._lock:
            found = self._assigned
        if found is None:
            return None
        nets = {ident: codec.decode(Network, row) for ident, row in found["networks"].items()}
        known = {ident: (net, remotes(ident)) for ident, net in nets.items()}
        return tuple(
            _assignment(
                codec.decode(Task, row["task"]),
                codec.decode(ServiceSpec, row["spec"]),
                known,
                (found["balancers"], found.get("balancers6", {})),
            )
            for row in found["rows"]
        )


def _assignment(
    task: Task,
    spec: ServiceSpec,
    nets: dict[str, tuple[Network, tuple[RemoteEndpoint, ...]]],
    balancers: tuple[dict[str, str], dict[str, str]],
) -> Assignment:
    attached: Sequence[Attached] = [
        _attached(place, *nets[place.network], *(each.get(place.network, "") for each in balancers))
        for place in task.places
        if place.network in nets and place.network in balancers[0]
    ]
    found = (nets[one.network][0] for one in spec.networks if one.network in nets)
    own = sorted((net for net in found if net.swarm), key=lambda net: net.name)
    return Assignment(task, spec, tuple(attached), tuple(own))


def _attached(
    place: Place, net: Network, remotes: tuple[RemoteEndpoint, ...], balancer: str, balancer6: str
) -> Attached:
    """A task's place as a manager answers a container that asks for one.

    The ingress network's balancer is there with the node itself.
    """
    own = None if net.overlay.ingress or not balancer else IPv4Interface(balancer)
    own6 = IPv6Interface(balancer6) if own is not None and balancer6 else None
    return Attached(net, place.ip, place.ip6, place.mac, own, remotes, own6)
