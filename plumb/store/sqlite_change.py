"""A change written into the store's SQLite tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.service.virtual import VirtualService
from plumb.store import codec
from plumb.store.change import TABLE_OF, Change

if TYPE_CHECKING:
    from plumb.things import Key


def apply(db: sqlite3.Connection, change: Change) -> None:
    """Write all that a change does; the caller has begun the transaction."""
    for kind, ident in change.drop:
        db.execute(f"DELETE FROM {kind} WHERE id = ?", (ident,))
        db.execute("DELETE FROM port WHERE owner = ?", (ident,))
    for value in change.put:
        db.execute("DELETE FROM port WHERE owner = ?", (value.id,))
        if isinstance(value, Network | Sandbox):  # names may pass from one to another
            db.execute(f"DELETE FROM {TABLE_OF[type(value)]} WHERE id = ?", (value.id,))
    for value in change.put:
        _PUT[type(value)](db, value)
    for owner in change.released:
        _release(db, owner)
    db.executemany(
        "INSERT INTO address VALUES (?, ?, ?)",
        [(str(subnet), ip.packed.hex(), owner) for subnet, ip, owner in change.addresses],
    )
    db.executemany(
        "INSERT OR REPLACE INTO hint VALUES (?, ?, ?)",
        [(str(subnet), span, ip.packed.hex()) for subnet, span, ip in change.hints],
    )
    for thing, previous in change.things:
        before = codec.dumps(previous) if previous is not None else None
        db.execute(
            "INSERT INTO thing (key, kind, json, previous) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET json = excluded.json",
            (key_text(thing.key), type(thing).__name__, codec.dumps(thing), before),
        )
    lost = [
        key
        for owner, keys in change.owners
        for key in _own(db, owner, [key_text(key) for key in keys])
    ]
    # Only now: what one owner has let go of may be another's since.
    db.executemany(
        "DELETE FROM thing WHERE key = ? "
        "AND NOT EXISTS (SELECT 1 FROM owner WHERE owner.key = thing.key)",
        [(key,) for key in lost],
    )
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", change.meta)


def _release(db: sqlite3.Connection, owner: str) -> None:
    rows = db.execute(
        "DELETE FROM address WHERE owner = ? RETURNING subnet, ip", (owner,)
    ).fetchall()
    for subnet, ip in rows:
        db.execute("UPDATE hint SET ip = min(ip, ?) WHERE subnet = ?", (ip, subnet))


def _own(db: sqlite3.Connection, owner: str, keys: Iterable[str]) -> set[str]:
    """Make these the keys of an owner; those that it had and has no more."""
    wanted = set(keys)
    had = {key for (key,) in db.execute("SELECT key FROM owner WHERE owner = ?", (owner,))}
    db.executemany("INSERT INTO owner VALUES (?, ?)", [(owner, key) for key in wanted - had])
    db.executemany(
        "DELETE FROM owner WHERE owner = ? AND key = ?", [(owner, key) for key in had - wanted]
    )
    return had - wanted


def _put_network(db: sqlite3.Connection, net: Network) -> None:
    db.execute(
        "INSERT INTO network VALUES (?, ?, ?, ?)", (net.id, net.name, net.number, codec.dumps(net))
    )


def _put_sandbox(db: sqlite3.Connection, box: Sandbox) -> None:
    db.execute(
        "INSERT INTO sandbox VALUES (?, ?, ?, ?)", (box.id, box.name, box.number, codec.dumps(box))
    )


def _put_endpoint(db: sqlite3.Connection, end: Endpoint) -> None:
    db.execute(
        "INSERT OR REPLACE INTO endpoint VALUES (?, ?, ?, ?, ?)",
        (end.id, end.network, end.sandbox, end.number, codec.dumps(end)),
    )
    db.executemany(
        "INSERT INTO port VALUES (?, ?, ?, ?)",
        [
            (port.protocol, port.host_port, str(port.host_ip), end.id)
            for port in end.ports
            if port.host_port
        ],
    )


def _put_remote(db: sqlite3.Connection, end: RemoteEndpoint) -> None:
    db.execute(
        "INSERT OR REPLACE INTO remote VALUES (?, ?, ?)", (end.id, end.network, codec.dumps(end))
    )


def _put_service(db: sqlite3.Connection, service: VirtualService) -> None:
    db.execute(
        "INSERT OR REPLACE INTO service VALUES (?, ?, ?)",
        (service.id, service.network, codec.dumps(service)),
    )


_PUT: dict[type, Any] = {
    Network: _put_network,
    Sandbox: _put_sandbox,
    Endpoint: _put_endpoint,
    RemoteEndpoint: _put_remote,
    VirtualService: _put_service,
}


@lru_cache(maxsize=1 << 12)
def key_text(key: Key) -> str:
    """A thing's key as the tables have it."""
    return codec.TEXT.encode(key)
