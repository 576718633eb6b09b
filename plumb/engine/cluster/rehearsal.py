"""The cluster for a dry run: asked as it is, and left as it is."""

from __future__ import annotations

from collections.abc import Sequence

from plumb.engine.cluster.access import Cluster
from plumb.model.cluster import Attached, AttachRequest, Encryption, Node
from plumb.model.cnm import Network


class Rehearsal:
    """A cluster in which nothing is created or removed.

    Addresses are reserved, so that a plan has some, and given back when it has been shown.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def node(self) -> Node | None:
        """Return this node, None where it is in no cluster."""
        return self._cluster.node()

    def connected(self) -> bool:
        """True while a manager answers this node."""
        return self._cluster.connected()

    def networks(self) -> Sequence[Network]:
        """List all networks of the cluster."""
        return self._cluster.networks()

    def network(self, reference: str) -> Network | None:
        """Return a network by id or name."""
        return self._cluster.network(reference)

    def create_network(self, net: Network) -> Network:
        """Return the network as it was asked for, without what the cluster would allot."""
        return net

    def remove_network(self, ident: str) -> None:
        """Change nothing."""

    def attach(self, wish: AttachRequest) -> Attached:
        """Reserve addresses for an endpoint."""
        return self._cluster.attach(wish)

    def part(self, network: str) -> None:
        """Change nothing."""

    def release(self, endpoints: Sequence[str]) -> None:
        """Give back the addresses of endpoints."""
        self._cluster.release(endpoints)

    def encryption(self) -> Encryption | None:
        """Return the keys of encrypted networks."""
        return self._cluster.encryption()
