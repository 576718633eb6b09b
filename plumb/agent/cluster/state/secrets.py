"""Secrets: keys of the certificate authorities, join tokens, keys of encrypted networks.

They are in etcd alone and in the memory of managers: in no log, no argument list, no error.
"""

from __future__ import annotations

from dataclasses import field

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Delete,
    KeyValue,
    Put,
    absent,
    below,
    unchanged,
)
from plumb.frozen import frozen
from plumb.store import codec

KEPT_KEYS = 3
"""Keys of encrypted networks at a time: the one before, the one in use, the one to come."""


@frozen
class EncryptionKey:
    """A key of encrypted networks.

    Attributes:
        number: counts up; it orders the keys as Docker's Lamport time does.
        key: 32 hex digits, the 128 bits of AES.
        made: seconds since the epoch.
    """

    number: int
    key: str = field(repr=False)
    made: int = 0


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


def encryption_keys(etcd: Etcd) -> tuple[EncryptionKey, ...]:
    """List the keys of encrypted networks, the oldest first."""
    return tuple(map(_encryption_key, etcd.range(below(keys.ENCRYPTION)).keys))


def add_encryption_key(etcd: Etcd, key: str, made: int) -> EncryptionKey:
    """Add a key behind those that there are, and remove the oldest of more than three.

    Raises:
        KernelRefused: other managers add keys all the time.
    """
    for _ in attempts("add a key of encrypted networks"):
        found = etcd.range(below(keys.ENCRYPTION)).keys
        numbers = [_encryption_key(one).number for one in found]
        added = EncryptionKey(max(numbers, default=0) + 1, key, made)
        place = f"{keys.ENCRYPTION}{added.number:010}"
        old = [Delete(one.key) for one in found[: len(found) + 1 - KEPT_KEYS]]
        if etcd.txn([absent(place)], [Put(place, codec.dumps(added)), *old]).succeeded:
            return added
    raise AssertionError


def _encryption_key(found: KeyValue) -> EncryptionKey:
    return codec.loads(EncryptionKey, found.value)
