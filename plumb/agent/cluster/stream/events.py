"""Receiver of what the stream and the lease of a session bring."""

from __future__ import annotations

from typing import Any, Protocol

from plumb.errors import PlumbError
from plumb.model.cluster import Encryption, Node, RemoteEndpoint
from plumb.model.service.assignment import Assignment
from plumb.model.service.virtual import VirtualService


class Events(Protocol):
    """Receiver of what happens; called from the session's threads, one call at a time each."""

    def on_remote(self, network: str, endpoints: tuple[RemoteEndpoint, ...]) -> None:
        """Take all endpoints that a network has on other nodes at present."""

    def on_services(self, network: str, services: tuple[VirtualService, ...]) -> None:
        """Take all services of a network; what this returns from is in effect on this host."""

    def on_ingress(self, network: str) -> None:
        """Take the id of the ingress network, empty while there is none."""

    def on_question(self, ident: str, question: dict[str, Any]) -> None:
        """Take a question of a manager; what answers it does so in its own time."""

    def on_tasks(self, tasks: tuple[Assignment, ...]) -> None:
        """Take all tasks of this node."""

    def on_keys(self, keys: Encryption) -> None:
        """Take the keys of encrypted networks; what this returns from is in use."""

    def on_node(self, node: Node) -> None:
        """Take this node as the managers have it: its role, its availability, its labels."""

    def on_managers(self, places: tuple[str, ...]) -> None:
        """Take the list of managers."""

    def on_authorities(self, digest: str) -> None:
        """Take the digest of the authorities that are trusted now."""

    def on_removed(self, reason: PlumbError) -> None:
        """Take note that the managers do not know this node any more."""
