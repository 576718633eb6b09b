"""Secrets: keys of the certificate authorities, join tokens.

They are in etcd alone and in the memory of managers: in no log, no argument list, no error.
"""

from __future__ import annotations

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Put, absent, below, unchanged


def create(etcd: Etcd, secrets: dict[str, str]) -> bool:
    """Record secrets of a new cluster, all or none; False if one of them is there already."""
    answer = etcd.txn(
        [absent(keys.SECRETS + name) for name in secrets],
        [Put(keys.SECRETS + name, text) for name, text in secrets.items()],
    )
    return answer.succeeded


def get(etcd: Etcd, name: str) -> str | None:
    """Return a secret by its name."""
    found = etcd.get(keys.SECRETS + name)
    return found.value if found else None


def everything(etcd: Etcd) -> dict[str, str]:
    """Return all secrets by their names, in one request."""
    listing = etcd.range(below(keys.SECRETS))
    return {found.key.removeprefix(keys.SECRETS): found.value for found in listing.keys}


def replace(etcd: Etcd, name: str, old: str, new: str) -> bool:
    """Put a secret in another's place, if that is still the one: so that one rotation wins."""
    key = keys.SECRETS + name
    found = etcd.get(key)
    if found is None or found.value != old:
        return False
    return etcd.txn([unchanged(key, found)], [Put(key, new)]).succeeded
