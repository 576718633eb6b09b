"""The swarm as its managers are asked for it: `plumb swarm` and `plumb node`, as functions.

swarm = SwarmClient(Layout.of())
node, tokens = swarm.init(InitRequest(advertise="192.0.2.10"))
swarm.nodes()
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from plumb.address import IPNetwork
from plumb.engine.cluster import advertise
from plumb.engine.cluster.client import ClusterClient
from plumb.errors import Invalid, NotFound, Unsupported
from plumb.frozen import frozen
from plumb.kernel import cluster_client
from plumb.kernel.cluster import places
from plumb.kernel.cluster.words import ADVICE
from plumb.model.cluster import DATA_PATH_PORT, JOIN_PORT, Availability, Node, NodeRole, Swarm
from plumb.model.paths import Layout
from plumb.store import codec

NO_MANAGER = f"This node is not a swarm manager. {ADVICE}"
PORTS = range(1024, 49152)
"""UDP ports that --data-path-port may name."""


@frozen
class NodeRequest:
    """A node's own part of `init` and `join`.

    Attributes:
        advertise: IP or link, with or without a port, by which other nodes reach it; empty: the
            only address that this host has, or for `join` that which leads to the manager.
        data_path: IP or link of its end of the tunnels; empty: as `advertise`.
        listen: IP or link, with or without a port, on which a manager listens; empty: all.
        availability: for tasks of services.
    """

    advertise: str = ""
    data_path: str = ""
    listen: str = ""
    availability: Availability = Availability.ACTIVE


@frozen
class ExistingStore:
    """An etcd that is there already, with the paths of a client's papers (PEM)."""

    urls: tuple[str, ...]
    certificate: str
    key: str
    authority: str


@frozen
class InitRequest(NodeRequest):
    """A new swarm.

    Attributes:
        pools: where subnets of networks come from; empty: 10.0.0.0/8.
        mask_length: the prefix length of each network's subnet.
        port: UDP port of the tunnels.
        store: an existing etcd; None: managers have members of their own.
        force_new: a manager whose cluster has lost its quorum goes on alone, with its own copy of
            the state; the other managers become workers.
    """

    pools: tuple[IPv4Network, ...] = ()
    mask_length: int = 24
    port: int = DATA_PATH_PORT
    store: ExistingStore | None = None
    force_new: bool = False


class SwarmClient(ClusterClient):
    """The swarm that a root is a node of.

    Args:
        layout: the root's.
        own: subnets of plumb's networks on this host, which are no addresses to advertise.

    Raises, by any of its functions:
        Unsupported: this node is in no swarm, or no manager.
        NotFound, Conflict, Invalid: as the managers refuse it.
        KernelRefused: no manager answers.
    """

    def __init__(self, layout: Layout, own: Sequence[IPNetwork] = ()) -> None:
        super().__init__(layout)
        self.layout, self._subnets = layout, own

    def ask(self, name: str, body: Mapping[str, Any]) -> Any:
        """Ask the managers for something that only they know."""
        if not places.is_member(self.layout):
            raise Unsupported(NO_MANAGER)
        return cluster_client.ask(self.layout, name, dict(body))

    # -- the swarm -----------------------------------------------------------------------

    def init(self, wish: InitRequest) -> tuple[str, dict[NodeRole, str]]:
        """Make a swarm with this node as its first manager.

        Returns:
            The node's id, and the join tokens.
        """
        if wish.port not in PORTS:
            raise Invalid(
                f"invalid data path port number {wish.port}: must be a number between "
                f"{PORTS.start} and {PORTS.stop - 1}"
            )
        _check_pools(wish.pools, wish.mask_length)
        body = {
            **self._node(wish),
            "pools": [str(pool) for pool in wish.pools],
            "mask_length": wish.mask_length,
            "tunnel_port": wish.port,
            "store": _papers(wish.store) if wish.store else None,
            "force_new": wish.force_new,
        }
        answer = cluster_client.ask(self.layout, "init", body, start=True)
        return answer["node"], {NodeRole(role): text for role, text in answer["tokens"].items()}

    def _node(self, wish: NodeRequest) -> dict[str, Any]:
        host, port = ("", JOIN_PORT)
        if wish.listen:
            found, port = advertise.listening(wish.listen, JOIN_PORT)
            host = f"[{found}]:{port}" if found.version == 6 else f"{found}:{port}"
        address, port = advertise.advertised(wish.advertise, port, self._subnets)
        tunnel = advertise.data_path(wish.data_path) if wish.data_path else address
        return {
            "hostname": socket.gethostname(),
            "address": str(address),
            "data_path": str(tunnel),
            "port": port,
            "listen": host,
            "availability": wish.availability.value,
        }

    def join(self, token: str, remote: str, wish: NodeRequest) -> NodeRole:
        """Come into a swarm.

        Args:
            token: a join token, whose role this node gets.
            remote: HOST:PORT of a manager.
            wish: this node's own part.

        Returns:
            Its role.
        """
        own = self._node(wish if wish.advertise else _anything(wish))
        if not wish.advertise:
            own["address"] = ""
            own["data_path"] = own["data_path"] if wish.data_path else ""
        body = {**own, "token": token, "remote": remote}
        answer = cluster_client.ask(self.layout, "join", body, start=True)
        return NodeRole(answer["role"])

    def leave(self, force: bool = False) -> None:
        """Leave the swarm.

        Args:
            force: even where this is a manager, or no manager answers.
        """
        cluster_client.ask(self.layout, "leave", {"force": force})

    def change(self, *, cert_expiry: int | None = None, task_history: int | None = None) -> Swarm:
        """Change the swarm's settings.

        Args:
            cert_expiry: hours for which a node's certificate is valid, from its next renewal on.
            task_history: tasks of a service that are kept when they have ended.

        Raises:
            Invalid: a certificate would be valid for less than an hour, or a number is negative.
        """
        wanted = {"cert_expiry": cert_expiry, "task_history": task_history}
        if cert_expiry is not None and cert_expiry < 1:
            raise Invalid("invalid certificate expiry: minimum expiry time is 1h0m0s")
        if task_history is not None and task_history < 0:
            raise Invalid(f"invalid task history limit {task_history}", "it is 0 or more")
        body = {name: value for name, value in wanted.items() if value is not None}
        return codec.decode(Swarm, self.ask("swarm-update", body))

    def tokens(self) -> dict[NodeRole, str]:
        """Return the join tokens."""
        return {NodeRole(role): text for role, text in self.ask("tokens", {}).items()}

    def rotate_token(self, role: NodeRole) -> None:
        """Make a new join token for a role; the old one is worth nothing from now on."""
        self.ask("rotate-token", {"role": role.value})

    def authority(self) -> str:
        """Return the certificate of the swarm's CA, PEM."""
        return str(self.ask("authorities", {})[0])

    def rotate_authority(self) -> str:
        """Make a new CA and return its certificate; nodes renew theirs within seconds."""
        return str(self.ask("rotate-ca", {})[0])

    def status(self) -> dict[str, Any]:
        """Return this node's state, which no manager is asked for; {"node": None} without any."""
        if not places.is_member(self.layout):
            return {"node": None}
        return dict(cluster_client.ask(self.layout, "status", {}))

    # -- nodes ---------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """List the nodes."""
        return [codec.decode(Node, one) for one in self.ask("nodes", {})]

    def one(self, reference: str) -> Node:
        """Return a node by id, host name, beginning of an id, or "self".

        Raises:
            NotFound: there is none. Invalid: there are several.
        """
        known = self.nodes()
        own = self.status()["node"]
        wanted = own["id"] if reference == "self" and own else reference
        for found in (
            [node for node in known if node.id == wanted],
            [node for node in known if node.hostname == wanted],
            [node for node in known if wanted and node.id.startswith(wanted)],
        ):
            if len(found) > 1:
                raise Invalid(f"node {reference} is ambiguous ({len(found)} matches found)")
            if found:
                return found[0]
        raise NotFound(f"node {reference} not found")

    def update(
        self,
        reference: str,
        *,
        role: NodeRole | None = None,
        availability: Availability | None = None,
        labels: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
    ) -> Node:
        """Change a node.

        Args:
            reference: which.
            role, availability: new ones; None leaves them.
            labels: to add; without: keys to remove.
        """
        body = {
            "node": self.one(reference).id,
            "role": role.value if role else "",
            "availability": availability.value if availability else "",
            "labels": dict(labels or {}),
            "without": list(without),
        }
        return codec.decode(Node, self.ask("node-update", body))

    def remove(self, reference: str, force: bool = False) -> str:
        """Remove a node, which is out at once; its id.

        Args:
            reference: which.
            force: even if it is not down.
        """
        return str(self.ask("node-remove", {"node": self.one(reference).id, "force": force}))


def _anything(wish: NodeRequest) -> NodeRequest:
    """The wish of a node whose address the way to the manager tells."""
    return NodeRequest("127.0.0.1", wish.data_path, wish.listen, wish.availability)


def _check_pools(pools: Sequence[IPv4Network], mask_length: int) -> None:
    for number, pool in enumerate(pools):
        if not pool.prefixlen <= mask_length <= 29:
            raise Invalid(
                f"invalid CIDR mask {mask_length} for the pool {pool}",
                "--default-addr-pool-mask-length must be the pool's own or longer, and 29 at most",
            )
        if any(pool.overlaps(other) for other in pools[:number]):
            raise Invalid(f"invalid default address pool: {pool} overlaps another one")


def _papers(store: ExistingStore) -> dict[str, Any]:
    """The content of the files, so that nothing depends on where they lie."""
    found: dict[str, Any] = {"urls": list(store.urls)}
    for name, path in (
        ("certificate", store.certificate),
        ("key", store.key),
        ("ca", store.authority),
    ):
        try:
            with open(os.fspath(path), encoding="ascii") as file:
                found[name] = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"cannot read {path or name}: {error}") from None
    return found
