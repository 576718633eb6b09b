"""Own tasks of a node, as the stream of changes has told them.

The first message has all of them, those after it what has changed. Each says after which it comes;
one that comes after another than the last is refused, and the stream begins anew with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from plumb.model.cluster import Attached, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Place, Task
from plumb.store import codec

Json = dict[str, Any]
Remotes = Callable[[str], tuple[RemoteEndpoint, ...]]


class OwnTasks:
    """Tasks by id with their specifications, their networks, and the node's own addresses there.

    Attributes:
        known: the stream has told all of them.
    """

    def __init__(self) -> None:
        self.known = False
        self._sequence = 0
        self._rows: dict[str, tuple[Task, ServiceSpec]] = {}
        self._networks: dict[str, Network] = {}
        self._balancers: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def take(self, change: Json) -> None:
        """Take a line of the stream.

        Raises:
            ValueError: a message before it is missing.
        """
        if "tasks" in change:
            self._rows, self._networks, self.known = {}, {}, True
            self._put(change["tasks"])
        if "tasks_changed" in change:
            changed = change["tasks_changed"]
            if not self.known or changed["after"] != self._sequence:
                raise ValueError(f"tasks after message {changed['after']}, not {self._sequence}")
            for ident in changed["gone"]:
                self._rows.pop(ident, None)
            self._put(changed)

    def _put(self, message: Json) -> None:
        for row in message["rows"]:
            task = codec.decode(Task, row["task"])
            self._rows[task.id] = task, codec.decode(ServiceSpec, row["spec"])
        for ident, network in message["networks"].items():
            if network is None:
                self._networks.pop(ident, None)
            else:
                self._networks[ident] = codec.decode(Network, network)
        if "balancers" in message:
            self._balancers = message["balancers"], message.get("balancers6", {})
        self._sequence = int(message.get("sequence", 0))

    def assignments(self, remotes: Remotes) -> tuple[Assignment, ...]:
        """Return all tasks.

        Args:
            remotes: returns the endpoints of a network on other nodes.
        """
        known = {ident: (net, remotes(ident)) for ident, net in self._networks.items()}
        return tuple(
            _assignment(task, spec, known, self._balancers) for task, spec in self._rows.values()
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
