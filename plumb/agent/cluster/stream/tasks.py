"""Own tasks of a node, as the stream of changes has told them.

The first message has all of them, those after it what has changed. Each says after which it comes;
one that comes after another than the last is refused, and the stream begins anew with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, NamedTuple

from plumb.model.cluster import Attached, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.service.assignment import Assignment
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Place, Task
from plumb.store import codec

Json = dict[str, Any]
Remotes = Callable[[str], tuple[RemoteEndpoint, ...]]


class Known(NamedTuple):
    """A network with its endpoints on other nodes, and the node's own addresses there."""

    net: Network
    remotes: tuple[RemoteEndpoint, ...]
    own: IPv4Interface | None
    own6: IPv6Interface | None


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
        known = {
            ident: Known(net, remotes(ident), *self._own_addresses(net))
            for ident, net in self._networks.items()
        }
        return tuple(self._assignment(task, spec, known) for task, spec in self._rows.values())

    def _own_addresses(self, net: Network) -> tuple[IPv4Interface | None, IPv6Interface | None]:
        """Addresses of the node's balancer in a network.

        The ingress network's is there with the node itself.
        """
        ip, ip6 = (each.get(net.id, "") for each in self._balancers)
        if net.overlay.ingress or not ip:
            return None, None
        return IPv4Interface(ip), IPv6Interface(ip6) if ip6 else None

    def _assignment(self, task: Task, spec: ServiceSpec, known: Mapping[str, Known]) -> Assignment:
        attached = tuple(
            _attached(place, known[place.network])
            for place in task.places
            if place.network in known and place.network in self._balancers[0]
        )
        found = (known[one.network].net for one in spec.networks if one.network in known)
        own = sorted((net for net in found if net.swarm), key=lambda net: net.name)
        return Assignment(task, spec, attached, tuple(own))


def _attached(place: Place, there: Known) -> Attached:
    """A task's place as a manager answers a container that asks for one."""
    net, remotes, own, own6 = there
    return Attached(net, place.ip, place.ip6, place.mac, own, remotes, own6)
