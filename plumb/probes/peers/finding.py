"""Values of the check between nodes: a peer, what was tried, and the cause of what fails."""

from __future__ import annotations

from enum import StrEnum

from plumb.frozen import frozen
from plumb.model.cluster import Node


class Cause(StrEnum):
    """Fault between two nodes, by the name that programs get."""

    MANAGER_PORT = "manager port"
    CLOCK = "clock"
    TLS = "tls"
    ETCD_PORT = "etcd port"
    LEASE = "lease"
    UNREACHABLE = "unreachable"
    DATA_PATH_PORT = "data path port"
    ESP = "esp"
    MTU = "mtu"
    MISMATCH = "mismatch"
    NOT_LOOKED_AT = "not looked at"


@frozen
class Fault:
    """Fault found, in words.

    Attributes:
        text: what is wrong; advice: what to try.
    """

    cause: Cause
    text: str
    advice: str


@frozen
class PeerState:
    """Result of the check of one peer.

    Attributes:
        node: the peer.
        looked: what was found to be as it must be.
        faults: what was not, at most one of the managers' ports and one of the data path.
    """

    node: Node
    looked: tuple[str, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.node.hostname} ({self.node.address})"


@frozen
class PeersReport:
    """Result of the whole check.

    Attributes:
        own: faults of this node's own part.
    """

    own: tuple[Fault, ...]
    peers: tuple[PeerState, ...]

    @property
    def good(self) -> bool:
        """True if all was looked at, and is as it must be."""
        return not self.own and not any(peer.faults for peer in self.peers)
