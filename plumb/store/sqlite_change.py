"""A change written into the store's SQLite tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.service.virtual import VirtualService
from plumb.store.change import KINDS, Change, Texts
from plumb.store.sqlite_schema import among

if TYPE_CHECKING:
    from plumb.things import Key


def apply(db: sqlite3.Connection, change: Change, texts: Texts) -> None:
    """Write all that a change does; the caller has begun the transaction.

    Args:
        texts: the texts of the change's values, as far as they are written.
    """
    db.executemany(
        "DELETE FROM port WHERE owner = ?",
        [(ident,) for _, ident in change.drop] + [(value.id,) for value in change.put],
    )
    for table, kind in KINDS.items():
        _drop(db, table, [ident for of, ident in change.drop if of == table])
        put = [value for value in change.put if isinstance(value, kind)]
        _drop(db, table, [value.id for value in put])  # names may pass from one to another
        _put(db, table, [(*_COLUMNS[kind](value), texts.of(value)) for value in put])
    db.executemany(
        "INSERT INTO port VALUES (?, ?, ?, ?)",
        [
            (port.protocol, port.host_port, str(port.host_ip), end.id)
            for end in change.put
            if isinstance(end, Endpoint)
            for port in end.ports
            if port.host_port
        ],
    )
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
    db.executemany(
        "INSERT INTO thing (key, kind, json, previous) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET json = excluded.json",
        [
            (
                key_text(thing.key),
                type(thing).__name__,
                texts.of(thing),
                texts.of(previous) if previous is not None else None,
            )
            for thing, previous in change.things
        ],
    )
    _own(db, {owner: [key_text(key) for key in keys] for owner, keys in change.owners})
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", change.meta)


def _drop(db: sqlite3.Connection, table: str, idents: Sequence[str]) -> None:
    if idents:
        db.executemany(f"DELETE FROM {table} WHERE id = ?", [(ident,) for ident in idents])


def _put(db: sqlite3.Connection, table: str, rows: Sequence[tuple[str | int, ...]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _release(db: sqlite3.Connection, owner: str) -> None:
    rows = db.execute(
        "DELETE FROM address WHERE owner = ? RETURNING subnet, ip", (owner,)
    ).fetchall()
    for subnet, ip in rows:
        db.execute("UPDATE hint SET ip = min(ip, ?) WHERE subnet = ?", (ip, subnet))


def _own(db: sqlite3.Connection, wanted: Mapping[str, Sequence[str]]) -> None:
    """Make these the keys of the owners; a thing that has lost its last owner goes."""
    had = _owned(db, list(wanted))
    pairs = {(owner, key): None for owner, keys in wanted.items() for key in keys}
    lost = [pair for pair in had if pair not in pairs]
    # In the order of keys: a tree takes them in the faster the nearer they are to each other.
    new = sorted((pair for pair in pairs if pair not in had), key=itemgetter(1))
    db.executemany("INSERT INTO owner VALUES (?, ?)", new)
    db.executemany("DELETE FROM owner WHERE owner = ? AND key = ?", lost)
    # Only now: what one owner has let go of may be another's since.
    db.executemany(
        "DELETE FROM thing WHERE key = ? "
        "AND NOT EXISTS (SELECT 1 FROM owner WHERE owner.key = thing.key)",
        [(key,) for _, key in lost],
    )


def _owned(db: sqlite3.Connection, owners: Sequence[str]) -> dict[tuple[str, str], None]:
    """The keys that owners have, each with its owner."""
    return dict.fromkeys(among(db, "SELECT owner, key FROM owner WHERE owner IN ({})", owners))


_COLUMNS: dict[type, Callable[[Any], tuple[str | int, ...]]] = {
    Network: lambda net: (net.id, net.name, net.number),
    Sandbox: lambda box: (box.id, box.name, box.number),
    Endpoint: lambda end: (end.id, end.network, end.sandbox, end.number),
    RemoteEndpoint: lambda end: (end.id, end.network),
    VirtualService: lambda service: (service.id, service.network),
}
"""What the tables have of a value, beside its text."""


def key_text(key: Key) -> str:
    """A thing's key as the tables have it."""
    return f"[{','.join(map(quoted, key))}]"
