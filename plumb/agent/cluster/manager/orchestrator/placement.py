"""Choice of a node for a task: those that may have it, and of these the one with the least.

Least means: fewest tasks of the same service, then fewest of all (Docker's spread).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from plumb.agent.cluster.manager.orchestrator.board import Board
from plumb.model.cluster import Availability, Node
from plumb.model.ports import PublishMode
from plumb.model.service.service import Service
from plumb.model.service.spec import ServiceSpec
from plumb.model.service.task import Task

HostPort = tuple[str, int]


class Placement:
    """Tasks by node, as they are and as they are decided.

    Args:
        board: what is decided.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._all: Counter[str] = Counter()
        self._own: Counter[tuple[str, str]] = Counter()
        self._ports: dict[str, Counter[HostPort]] = {}
        for task in board.tasks.values():
            if not task.state.ended and task.node:
                self.add(task)

    def add(self, task: Task) -> None:
        """Count a task that was given to a node."""
        self._all[task.node] += 1
        self._own[task.service, task.node] += 1
        service = self._board.services.get(task.service)
        if service is not None:
            self._ports.setdefault(task.node, Counter()).update(host_ports(service.spec))

    def choose(self, service: Service) -> Node | None:
        """Return the node that a new task of a service is best on, None if none may have it."""
        free = [node for node in self._board.nodes.values() if self._takes(service, node)]
        return min(free, key=lambda node: self._load(service, node), default=None)

    def _takes(self, service: Service, node: Node) -> bool:
        return self._board.takes(service, node) and self.has_ports(service, node)

    def has_ports(self, service: Service, node: Node) -> bool:
        """Tell whether the ports that a service publishes in mode host are free on a node."""
        used = self._ports.get(node.id, ())
        return not any(port in used for port in host_ports(service.spec))

    def _load(self, service: Service, node: Node) -> tuple[int, int, str, str]:
        return (self._own[service.id, node.id], self._all[node.id], node.hostname, node.id)

    def refusal(self, service: Service) -> str:
        """Return the reason for which no node may have a task, in Docker's words."""
        board, nodes = self._board, list(self._board.nodes.values())
        up = [node for node in nodes if node.alive and _is_active(node)]
        fitting = [node for node in up if board.meets(service, node)]
        reasons = (
            ("not available for new tasks", len(nodes) - len(up)),
            ("scheduling constraints not satisfied", len(up) - len(fitting)),
            (
                "host-mode port already in use",
                sum(not self.has_ports(service, node) for node in fitting),
            ),
        )
        parts = [_on(reason, count) for reason, count in reasons if count]
        return f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"


def _is_active(node: Node) -> bool:
    return node.availability is Availability.ACTIVE


def _on(reason: str, count: int) -> str:
    return f"{reason} on {count} node{'s' if count != 1 else ''}"


def host_ports(spec: ServiceSpec) -> Iterable[HostPort]:
    """Yield protocol and number of the ports that a task takes on its own node."""
    for port in spec.ports:
        if port.mode is PublishMode.HOST and port.published:
            yield port.protocol, port.published
