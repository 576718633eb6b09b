"""Keys of encrypted networks: three at a time, and a rotation that loses no packet.

Every node takes what comes in by any of the keys, and sends by the middle one, as Docker's do; the
newest is known everywhere long before it is used. A step of a rotation is made when every node that
is alive has reported that it has carried out the step before:

    keys 1, 2, 3    sends by 2       between two rotations
    keys 1, 2, 3    sends by 3, 2    each node moves to the newest; the state for 2 is still there
    keys 1, 2, 3    sends by 3       nobody sends by 2 any more
    keys 2, 3, 4    sends by 3       the oldest goes, and the next one comes

Each step replaces one key of etcd if it is as it was: two managers that take themselves for the
leader make it once. A node that was away for a step gets the present keys when it is back.
"""

from __future__ import annotations

import secrets

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Get, Put, absent, below, present, unchanged
from plumb.errors import Conflict, NotFound
from plumb.frozen import frozen, replace
from plumb.model.cluster import Encryption
from plumb.store import codec

KEPT = 3
"""Keys at a time: the one before, the one in use, the one to come."""
INTERVAL = 12 * 3600
"""Seconds between two rotations, as Docker's."""
KEY_BYTES = 16


@frozen
class Ring:
    """Keys in etcd.

    Attributes:
        keys: all of them, and those for sending.
        rotated: end of the last rotation, in seconds since the epoch.
    """

    keys: Encryption
    rotated: int

    @property
    def settled(self) -> bool:
        """True between two rotations."""
        return self.keys.sending == (self.keys.keys[-2][0],)

    def step(self, now: int) -> Ring:
        """Return the keys after the next step of a rotation; see the module."""
        all_, sending = self.keys.keys, self.keys.sending
        newest = all_[-1][0]
        if len(sending) > 1:
            return replace(self, keys=replace(self.keys, sending=sending[:1]))
        if sending == (newest,):
            known = (*all_, (newest + 1, _new_key()))[-KEPT:]
            return Ring(Encryption(known, sending), now)
        return replace(self, keys=replace(self.keys, sending=(newest, *sending)))


def create(etcd: Etcd, now: int) -> None:
    """Make the first keys of a cluster, unless it has some.

    Args:
        now: seconds since the epoch.
    """
    if etcd.get(keys.ENCRYPTION) is not None:
        return
    known = tuple((number, _new_key()) for number in range(1, KEPT + 1))
    ring = Ring(Encryption(known, (KEPT - 1,)), now)
    etcd.txn([absent(keys.ENCRYPTION)], [Put(keys.ENCRYPTION, codec.dumps(ring))])


def _new_key() -> str:
    return secrets.token_hex(KEY_BYTES)


def load(etcd: Etcd) -> Encryption | None:
    """Return the keys that nodes are to use; None before `create`."""
    found = etcd.get(keys.ENCRYPTION)
    return codec.loads(Ring, found.value).keys if found else None


def report(etcd: Etcd, node: str, numbers: str, lease: int) -> None:
    """Note the keys that a node uses, for as long as its lease is valid.

    Args:
        numbers: as `Encryption.numbers` has them.
    """
    place = keys.PROGRAMMED + node
    found = etcd.get(place)
    if found is None or (found.value, found.lease) != (numbers, lease):
        etcd.txn([present(keys.ALIVE + node)], [Put(place, numbers, lease)])


def late(etcd: Etcd) -> set[str]:
    """Return the ids of nodes that are alive, and have not reported that they use these keys."""
    return _look(etcd)[1]


def advance(etcd: Etcd, now: int) -> bool:
    """Begin a rotation if it is time, or make the next step if every node is ready for it.

    Args:
        now: seconds since the epoch.

    Returns:
        True if a step was made.
    """
    ring, behind = _look(etcd)
    if behind or (ring.settled and now - ring.rotated < INTERVAL):
        return False
    return _replace(etcd, ring, ring.step(now))


def rotate(etcd: Etcd) -> None:
    """Begin a rotation now; `advance` goes on with it.

    Raises:
        Conflict: one is under way, or a node has not reported that it uses the present keys.
    """
    ring, behind = _look(etcd)
    if not ring.settled:
        raise _cannot_rotate("a rotation is under way")
    if behind:
        raise _cannot_rotate(f"no report of the present keys from {', '.join(sorted(behind))}")
    if not _replace(etcd, ring, ring.step(ring.rotated)):
        raise _cannot_rotate("another rotation has just begun")


def _cannot_rotate(reason: str) -> Conflict:
    return Conflict(
        f"cannot rotate the keys of encrypted networks: {reason}", "try again in a few seconds"
    )


def _look(etcd: Etcd) -> tuple[Ring, set[str]]:
    """The keys, and the nodes that are late, at one revision."""
    wanted = [Get(keys.ENCRYPTION), below(keys.ALIVE), below(keys.PROGRAMMED)]
    rings, alive, programmed = etcd.read_all(wanted).listings
    if rings.first is None:
        raise NotFound("the cluster has no keys for encrypted networks")
    ring = codec.loads(Ring, rings.first.value)
    ready = {keys.last(one.key) for one in programmed.keys if one.value == ring.keys.numbers}
    return ring, {keys.last(one.key) for one in alive.keys} - ready


def _replace(etcd: Etcd, old: Ring, new: Ring) -> bool:
    found = etcd.get(keys.ENCRYPTION)
    if found is None or found.value != codec.dumps(old):
        return False
    answer = etcd.txn([unchanged(keys.ENCRYPTION, found)], [Put(keys.ENCRYPTION, codec.dumps(new))])
    return answer.succeeded
