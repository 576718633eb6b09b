"""The cluster as the engine uses it: addresses and networks that several hosts share.

`client.ClusterClient` is the implementation that asks this node's cluster process; without a
cluster there is `NoCluster`, which refuses in Docker's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plumb.errors import NotFound, Unsupported
from plumb.model.cluster import Attached, AttachRequest, Encryption, Node
from plumb.model.cnm import Network

NOT_A_MANAGER = "This node is not a swarm manager."
ADVICE = 'Use "plumb swarm init" or "plumb swarm join" to connect this node to swarm and try again.'


class Cluster(Protocol):
    """A node's access to its cluster.

    Raises:
        Unsupported: this node is in no cluster, or is no manager.
        NotFound, Conflict, Exhausted, Invalid: as the cluster refuses it.
        KernelRefused: the cluster does not answer.
    """

    def node(self) -> Node | None:
        """Return this node, None where it is in no cluster."""

    def connected(self) -> bool:
        """True while a manager answers this node, which is known without asking one."""

    def networks(self) -> Sequence[Network]:
        """List all networks of the cluster, with their subnets and VNIs; managers only."""

    def network(self, reference: str) -> Network | None:
        """Return a network by id or name; workers may ask for one that a container joins."""

    def create_network(self, net: Network) -> Network:
        """Record a network, with subnets, gateways and VNIs allotted where none were given."""

    def remove_network(self, ident: str) -> None:
        """Remove a network that nobody is on."""

    def attach(self, wish: AttachRequest) -> Attached:
        """Reserve addresses for an endpoint; the same wish again gets the same answer."""

    def part(self, network: str) -> None:
        """Record that this host builds its part of a network that each node builds for itself."""

    def release(self, endpoints: Sequence[str]) -> None:
        """Give back the addresses of endpoints, which may not have been reserved at all.

        A network's id stands for this host's part of it.
        """

    def encryption(self) -> Encryption | None:
        """Return the keys of encrypted networks, None where there are none.

        Raises:
            Unsupported: this host's kernel cannot encrypt.
        """


class NoCluster:
    """A host that is in no cluster."""

    def node(self) -> Node | None:
        """Return None."""
        return None

    def connected(self) -> bool:
        """Return False."""
        return False

    def networks(self) -> Sequence[Network]:
        """No networks."""
        return ()

    def network(self, reference: str) -> Network | None:
        """Return None."""
        return None

    def create_network(self, net: Network) -> Network:
        """Refuse."""
        raise Unsupported(NOT_A_MANAGER, ADVICE)

    def remove_network(self, ident: str) -> None:
        """Refuse."""
        raise NotFound(f"network {ident} not found")

    def attach(self, wish: AttachRequest) -> Attached:
        """Refuse."""
        raise NotFound(f"network {wish.network} not found")

    def part(self, network: str) -> None:
        """Refuse."""
        raise NotFound(f"network {network} not found")

    def release(self, endpoints: Sequence[str]) -> None:
        """No addresses to give back."""

    def encryption(self) -> Encryption | None:
        """Return None."""
        return None
