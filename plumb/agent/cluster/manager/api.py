"""Requests that managers answer: who may ask, and which function does it.

Each request is checked by itself. The client's certificate says which node it is; etcd says
whether that node is in the cluster, with this key, and in which role: a node that was removed a
moment ago is refused, and one that was demoted is a worker, whatever its certificate says.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Generator, Mapping
from enum import Enum
from typing import Any

from plumb.agent.cluster.certificates import der
from plumb.agent.cluster.certificates.authority import Authorities
from plumb.agent.cluster.manager.feed import Feed
from plumb.agent.cluster.manager.listener import Shown
from plumb.agent.cluster.state import nodes, swarm
from plumb.agent.cluster.state.etcd import Etcd
from plumb.errors import Broken, NotFound, Unsupported
from plumb.model.cluster import Node, NodeRole, Swarm

NOT_A_MANAGER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
STRANGER = "this request needs a certificate of a node of the cluster"
REMOVED = "this node is not in the cluster any more"
REJOIN = "'plumb swarm leave --force' forgets the cluster here, 'plumb swarm join' joins it anew"


Function = Callable[["Api", Any, dict[str, Any]], Any]
"""Function that carries out a request: of the API, the node that asks, the arguments."""


class Access(Enum):
    """Kind of client that may make a request."""

    ANYBODY = "anybody"
    NODE = "node"
    MANAGER = "manager"


class Api:
    """A manager's answers.

    Args:
        node: the manager's own id.
        etcd: the cluster's store.
        feed: tells nodes what changes.
        store: what managers need to use an existing store: empty where they have etcd's members.
        elsewhere: asks another manager for something this one cannot do to itself.
        requests: functions by name, and who may ask for each.
    """

    def __init__(
        self,
        node: str,
        etcd: Etcd,
        feed: Feed,
        store: dict[str, Any],
        elsewhere: Callable[[str, dict[str, Any]], Any],
        requests: Mapping[str, tuple[Access, Function]],
    ) -> None:
        self.node, self.etcd, self.feed, self.store = node, etcd, feed, store
        self.elsewhere, self._requests = elsewhere, requests
        self.secrets = Authorities(etcd)
        self._keys: dict[bytes, str] = {}

    def authorities(self) -> list[str]:
        """Return the certificates of trusted authorities, the present one first."""
        return self.secrets.trusted()

    def swarm(self) -> Swarm:
        """Return the cluster."""
        found = swarm.load(self.etcd)
        if found is None:
            raise Broken("the store has no cluster", "it was emptied")
        return found

    def answer(self, name: str, shown: Shown, body: dict[str, Any]) -> Any:
        """Carry out a request.

        Args:
            name: the request's.
            shown: what the client's certificate says.
            body: its arguments.

        Raises:
            PlumbError: it is refused.
        """
        if name not in self._requests:
            raise NotFound(f"there is no request '{name[:80]}'", "is that manager of this version?")
        access, function = self._requests[name]
        if access is Access.ANYBODY:
            return function(self, None, body)
        caller = self.caller(shown)
        if access is Access.MANAGER and caller.role is not NodeRole.MANAGER:
            raise Unsupported(NOT_A_MANAGER)
        return function(self, caller, body)

    def watch(self, shown: Shown, body: dict[str, Any]) -> Generator[Any, None, None]:
        """Yield what changes for a node, until it is removed.

        Args:
            body: `increments`, true of a node that takes changes of its tasks; others get them all.
        """
        caller = self.caller(shown)
        yield from self.feed.follow(caller, bool(body.get("increments")))

    def caller(self, shown: Shown) -> Node:
        """Return the node that asks, as etcd has it.

        Raises:
            Unsupported: it is none, or not one of the cluster any more.
        """
        if shown is None:
            raise Unsupported(STRANGER, "'plumb swarm join' makes one")
        ident, certificate = shown
        node = nodes.get(self.etcd, ident) if ident.isalnum() else None
        if node is None or not hmac.compare_digest(node.key, self._key(certificate)):
            raise Unsupported(REMOVED, REJOIN)
        return node

    def _key(self, certificate: bytes) -> str:
        """The hash of a certificate's key, remembered as a node asks often."""
        if certificate not in self._keys:
            if len(self._keys) > 4096:
                self._keys.clear()
            self._keys[certificate] = der.key_hash(certificate)
        return self._keys[certificate]
