"""The cluster that a root is a node of, by way of its cluster process; see `access.Cluster`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plumb.engine.cluster.access import ADVICE, NOT_A_MANAGER
from plumb.errors import NotFound, Unsupported
from plumb.kernel import cluster_client
from plumb.kernel.cluster import places
from plumb.model.cluster import Attached, AttachRequest, Encryption, Node, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.store import codec

ENCRYPTED = "overlay, encrypted"
"""Name of what the kernel must be able to do, in the table of features."""


class ClusterClient:
    """The cluster that this root is a node of, if it is in one.

    Args:
        layout: the root's.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _ask(self, name: str, **body: Any) -> Any:
        return cluster_client.ask(self._layout, name, body)

    @property
    def _member(self) -> bool:
        return places.is_member(self._layout)

    def node(self) -> Node | None:
        """Return this node, None where it is in no cluster."""
        if not self._member:
            return None
        found = self._ask("status")["node"]
        return codec.decode(Node, found) if found else None

    def connected(self) -> bool:
        """True while a manager answers this node, which its cluster process knows."""
        return self._member and bool(self._ask("status").get("connected"))

    def networks(self) -> Sequence[Network]:
        """List all networks of the cluster; none where this node is in no cluster.

        Raises:
            Unsupported: this node is a worker.
        """
        if not self._member:
            return ()
        return tuple(codec.decode(Network, one) for one in self._ask("networks"))

    def network(self, reference: str) -> Network | None:
        """Return a network by id or name."""
        if not self._member:
            return None
        found = self._ask("network", reference=reference)
        return codec.decode(Network, found) if found else None

    def create_network(self, net: Network) -> Network:
        """Record a network, with subnets, gateways and VNIs allotted where none were given."""
        self._must_be_member()
        return codec.decode(Network, self._ask("network-create", network=codec.plain(net)))

    def _must_be_member(self) -> None:
        if not self._member:
            raise Unsupported(NOT_A_MANAGER, ADVICE)

    def remove_network(self, ident: str) -> None:
        """Remove a network that nobody is on."""
        if not self._member:
            raise NotFound(f"network {ident} not found")
        self._ask("network-remove", network=ident)

    def attach(self, wish: AttachRequest) -> Attached:
        """Reserve addresses for an endpoint; the same wish again gets the same answer."""
        if not self._member:
            raise NotFound(f"network {wish.network} not found")
        return codec.decode(Attached, self._ask("attach", wish=codec.plain(wish)))

    def part(self, network: str) -> None:
        """Record that this host builds its part of a network that each node builds for itself."""
        if not self._member:
            raise NotFound(f"network {network} not found")
        self._ask("part", network=network)

    def release(self, endpoints: Sequence[str]) -> None:
        """Give back the addresses of endpoints, which may not have been reserved at all."""
        if self._member and endpoints:
            self._ask("release", endpoints=list(endpoints))

    def encryption(self) -> Encryption | None:
        """Return the keys of encrypted networks, None before a manager has told any.

        Raises:
            Unsupported: this host's kernel cannot encrypt.
        """
        if not self._member:
            return None
        _must_encrypt()
        found = self._ask("encryption")
        return codec.decode(Encryption, found) if found else None

    def publish(self, ends: Sequence[RemoteEndpoint]) -> None:
        """Let other nodes send to endpoints of this one, now or as soon as a manager answers.

        Args:
            ends: `node` and `vtep` do not matter, they are this node's.
        """
        self._ask("publish", endpoints=[codec.plain(end) for end in ends])

    def withdraw(self, endpoints: Sequence[str]) -> None:
        """Let other nodes send to these no more, now or as soon as a manager answers."""
        if self._member and endpoints:
            self._ask("withdraw", endpoints=list(endpoints))

    def published(self) -> Sequence[RemoteEndpoint]:
        """List what this node publishes."""
        if not self._member:
            return ()
        return tuple(codec.decode(RemoteEndpoint, one) for one in self._ask("published"))

    def remotes(self, network: str) -> Sequence[RemoteEndpoint]:
        """List the endpoints of a network, by its id, on other nodes, as last known."""
        if not self._member:
            return ()
        found = self._ask("remotes", network=network)
        return tuple(codec.decode(RemoteEndpoint, one) for one in found)


def _must_encrypt() -> None:
    """Refuse an encrypted network where this kernel lacks what it needs."""
    from plumb.kernel.features import detect, table  # lazy: few networks are encrypted

    group = next(group for group in table.GROUPS if group.name == ENCRYPTED)
    missing = next((one for one in detect.tried(group.needs) if not one.able), None)
    if missing is not None:
        raise Unsupported(f"cannot join an encrypted network: {missing}")
