"""The cluster's certificate authorities and join secrets, as managers have them in etcd."""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import replace

from plumb.agent.cluster.certificates import pki, signing, tokens
from plumb.agent.cluster.state import secrets
from plumb.agent.cluster.state.etcd import Etcd
from plumb.errors import Broken, Conflict, Invalid
from plumb.model.cluster import NodeRole
from plumb.store import codec

AUTHORITY, PEERS = "authority", "peers"
"""Names of the secrets: the authority for nodes, and that for etcd's members."""
NAME = "swarm-ca"
REMEMBERED = 1.0
"""Seconds for which the trusted certificates are not read again: anybody may ask for them."""


def _token(role: NodeRole) -> str:
    return f"token-{role.value}"


def create(etcd: Etcd, authority: pki.Authority, peers: pki.Authority) -> None:
    """Record the authorities of a new cluster, and draw its join secrets."""
    made = secrets.create(
        etcd,
        {
            AUTHORITY: codec.dumps(authority),
            PEERS: codec.dumps(peers),
            **{_token(role): tokens.new_secret() for role in NodeRole},
        },
    )
    if not made:
        raise Conflict(
            "cannot make a swarm: its store has the secrets of one already",
            "join it with 'plumb swarm join', or name another store",
        )


class Authorities:
    """Access to them.

    Args:
        etcd: the cluster's store.
    """

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._read, self._trusted = 0.0, list[str]()

    def authority(self) -> pki.Authority:
        """Return the authority that signs for nodes."""
        return self._load(AUTHORITY)

    def peers(self) -> pki.Authority:
        """Return the authority that signs for etcd's members."""
        return self._load(PEERS)

    def _load(self, name: str) -> pki.Authority:
        text = secrets.get(self._etcd, name)
        if text is None:
            raise Broken(f"the cluster's store has no {name}", "it was not made by 'swarm init'")
        return codec.loads(pki.Authority, text)

    def trusted(self) -> list[str]:
        """Return the trusted authorities' certificates, the present one's first."""
        now = time.monotonic()
        if not self._trusted or now > self._read + REMEMBERED:
            found = self.authority()
            self._trusted, self._read = [found.certificate, *found.old], now
        return self._trusted

    def rotate(self) -> pki.Authority:
        """Make a new authority; the old one is trusted until every node has a new certificate."""
        old = self.authority()
        made = signing.successor(old, NAME)
        if not secrets.replace(self._etcd, AUTHORITY, codec.dumps(old), codec.dumps(made)):
            raise Conflict("another manager has just rotated the CA", "'plumb swarm ca' shows it")
        self._trusted = []
        return made

    def forget_old(self) -> None:
        """Trust the present authority alone."""
        found = self.authority()
        if found.old:
            alone = codec.dumps(replace(found, old=()))
            secrets.replace(self._etcd, AUTHORITY, codec.dumps(found), alone)
            self._trusted = []

    def token(self, role: NodeRole) -> tokens.Token:
        """Return the join token of a role."""
        secret = secrets.get(self._etcd, _token(role))
        if secret is None:
            raise Broken(f"the cluster's store has no {_token(role)}")
        return tokens.Token(tokens.digest(self.trusted()[0]), secret)

    def rotate_token(self, role: NodeRole) -> None:
        """Draw a new join secret of a role; the old one is worth nothing from now on."""
        old = secrets.get(self._etcd, _token(role)) or ""
        secrets.replace(self._etcd, _token(role), old, tokens.new_secret())

    def role_of(self, secret: str) -> NodeRole:
        """Return the role that a join secret stands for.

        Raises:
            Invalid: it is none, or was rotated.
        """
        found = secrets.everything(self._etcd)
        # Both are compared, so that the time does not tell which one was nearly right.
        right = [
            role
            for role in NodeRole
            if hmac.compare_digest(found.get(_token(role), "").encode(), secret.encode())
        ]
        if not right or not secret:
            raise Invalid(
                "A valid join token is necessary to join this cluster",
                "'plumb swarm join-token worker' prints it on a manager; it may have been rotated",
            )
        return right[0]


def trust_digest(trusted: list[str]) -> str:
    """Digest of the list of trusted certificates, by which a node sees that it has changed."""
    return tokens.digest(json.dumps(trusted))
