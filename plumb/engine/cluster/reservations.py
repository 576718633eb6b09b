"""Reservations of addresses that an operation makes in the cluster, and gives back.

They are made while the operation is worked out, so that the plan is of values; what it lets go of
is given back only when all has been taken away.
"""

from __future__ import annotations

from contextlib import suppress

from plumb.engine.cluster.access import Cluster
from plumb.errors import PlumbError
from plumb.model.cluster import Attached, AttachRequest
from plumb.model.cnm import Network


class Reservations:
    """Reservations of one operation."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made: list[str] = []
        self._over: list[str] = []
        self._networks: list[str] = []

    def create(self, net: Network) -> Network:
        """Record a network."""
        made = self._cluster.create_network(net)
        self._networks.append(made.id)
        return made

    def make(self, wish: AttachRequest) -> Attached:
        """Reserve addresses for an endpoint."""
        self.note(wish.endpoint)
        return self._cluster.attach(wish)

    def part(self, network: str) -> None:
        """Record that this host builds its part of a network that each node builds for itself."""
        self.note(network)
        self._cluster.part(network)

    def note(self, endpoint: str) -> None:
        """Take note that addresses of an endpoint, a balancer's, came with another's."""
        self._made.append(endpoint)

    def let_go(self, endpoint: str) -> None:
        """Give an endpoint's addresses back at the end, if the operation succeeds."""
        self._over.append(endpoint)

    def end(self) -> None:
        """Give back what the operation has let go of.

        A cluster that does not answer finds out by itself: this host's cluster process compares.
        """
        self._release(self._over)

    def undo(self) -> None:
        """Give back what the operation has reserved: it failed, or was a dry run."""
        self._release(self._made)
        for ident in self._networks:
            with suppress(PlumbError):
                self._cluster.remove_network(ident)

    def _release(self, endpoints: list[str]) -> None:
        if endpoints:
            with suppress(PlumbError):
                self._cluster.release(endpoints)
            endpoints.clear()
