"""The store in an SQLite file: the default, for one host.

Three kinds of things are kept: the intent (networks, sandboxes, endpoints, and who has which
address), what of it exists in the kernel (things, by key, with their owners; of a sysctl or policy
also what it was before), and the journal (what an operation that has begun may come to leave).

Readers never wait: the file is in WAL mode. Writers take turns by a lock on the root folder, which
the kernel lets go when its holder dies, however it dies. Commits do not wait for the disk: what
they describe is gone after a power cut as well, and the WAL keeps the file whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

from plumb.errors import Broken, Conflict, Invalid
from plumb.model.cnm import Endpoint, IPAddress, IPNetwork, Network, Sandbox
from plumb.model.paths import Layout
from plumb.store import codec
from plumb.store.change import Change, Unfinished, read_entry, thing_of, write_entry

if TYPE_CHECKING:
    from plumb.things import Key, Thing

T = TypeVar("T", Network, Sandbox, Endpoint)
VERSION = 2
LOCK_SECONDS = 120
NO_FILE = (0, 0)

PORTS = """
CREATE TABLE port (protocol TEXT, port INTEGER, ip TEXT, owner TEXT, PRIMARY KEY (protocol, port, ip)) WITHOUT ROWID;
CREATE INDEX port_owner ON port (owner)
"""
UPGRADES = {1: PORTS}
"""What a store of an earlier version lacks."""
SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT UNIQUE, number INTEGER, json TEXT) WITHOUT ROWID;
CREATE TABLE sandbox (id TEXT PRIMARY KEY, name TEXT UNIQUE, number INTEGER, json TEXT) WITHOUT ROWID;
CREATE TABLE endpoint (id TEXT PRIMARY KEY, network TEXT, sandbox TEXT, number INTEGER, json TEXT) WITHOUT ROWID;
CREATE INDEX endpoint_network ON endpoint (network);
CREATE INDEX endpoint_sandbox ON endpoint (sandbox);
CREATE INDEX endpoint_number ON endpoint (number);
CREATE INDEX sandbox_number ON sandbox (number);
CREATE TABLE address (subnet TEXT, ip TEXT, owner TEXT, PRIMARY KEY (subnet, ip)) WITHOUT ROWID;
CREATE INDEX address_owner ON address (owner);
{PORTS};
CREATE TABLE hint (subnet TEXT, span TEXT, ip TEXT, PRIMARY KEY (subnet, span)) WITHOUT ROWID;
CREATE TABLE thing (number INTEGER PRIMARY KEY, key TEXT UNIQUE, kind TEXT, json TEXT, previous TEXT);
CREATE TABLE owner (owner TEXT, key TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID;
CREATE INDEX owner_key ON owner (key);
CREATE TABLE journal (number INTEGER PRIMARY KEY, json TEXT);
"""


class Store:
    """The store under one root.

    Args:
        layout: where it is.
        create: make it if it is not there; else a store that is not there reads as empty.
    """

    def __init__(self, layout: Layout, create: bool = False) -> None:
        self._layout = layout
        there = os.path.exists(layout.database)
        made = not os.path.exists(layout.root)
        if create and not there:
            self._make_root()
        where = layout.database if create or there else ":memory:"
        try:
            self._db = sqlite3.connect(
                where, isolation_level=None, timeout=30, check_same_thread=False
            )
            self._prepare(where)
            self._file = _identity(layout.database)
            if create and not there and made:
                self.remark("root", "made")
        except sqlite3.Error as error:
            raise Broken(
                f"the store {layout.database} cannot be used: {error}",
                "it is plumb's record of what exists: restore it, or remove the root by hand",
            ) from error

    def _make_root(self) -> None:
        try:
            os.makedirs(self._layout.root, mode=0o700, exist_ok=True)
            os.close(os.open(self._layout.database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Invalid(
                f"cannot make the root {self._layout.root}: {error.strerror}",
                "run it as root (sudo), or name another root with PLUMB_ROOT",
            ) from error

    def _prepare(self, where: str) -> None:
        if where != ":memory:":
            self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        version = self._version()
        if version == 0 or version in UPGRADES:
            with self._transaction():
                while (version := self._version()) < VERSION:
                    self._build(
                        SCHEMA if version == 0 else UPGRADES[version],
                        VERSION if version == 0 else version + 1,
                    )
        elif version != VERSION:
            raise Broken(
                f"the store {where} is of version {version}, this plumb knows version {VERSION}",
                "use the plumb that made it, or reset with that one first",
            )

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _build(self, schema: str, version: int) -> None:
        for statement in schema.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {version}")

    @property
    def current(self) -> bool:
        """Whether this is the file under the root.

        A reset takes it away, and who waited for its turn must open another.
        """
        return self._file == _identity(self._layout.database) != NO_FILE

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The writers' turn on this root, for the length of a with block.

        Raises:
            Conflict: somebody else has held it for two minutes.
        """
        descriptor = os.open(self._layout.root, os.O_RDONLY | os.O_DIRECTORY)
        # An iptables-restore inherits it: what a killed plumb has set off is waited for as well.
        os.set_inheritable(descriptor, True)
        try:
            deadline, pause = time.monotonic() + LOCK_SECONDS, 0.001
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Conflict(
                            f"another plumb is at work under {self._layout.root}"
                        ) from None
                    time.sleep(pause)
                    pause = min(pause * 1.5, 0.02)
            yield
        finally:
            os.close(descriptor)

    # -- the intent ---------------------------------------------------------------

    def get(self, kind: type[T], reference: str) -> T | None:
        """A network, sandbox or endpoint by its id."""
        return self._one(kind, "id = ?", reference)

    def named(self, kind: type[T], name: str) -> T | None:
        """A network or sandbox by its name."""
        return self._one(kind, "name = ?", name)

    def prefixed(self, kind: type[T], prefix: str) -> list[T]:
        """Those whose id begins so."""
        return self._all(kind, "id >= ? AND id < ?", prefix, prefix + "g")

    def all(self, kind: type[T]) -> list[T]:
        """All of them, in the order in which they were made."""
        return self._all(kind, "1")

    def endpoints(self, *, network: str = "", sandbox: str = "") -> list[Endpoint]:
        """The endpoints of a network or of a sandbox, in the order in which they were made."""
        return (
            self._all(Endpoint, "network = ?", network)
            if network
            else self._all(Endpoint, "sandbox = ?", sandbox)
        )

    def _one(self, kind: type[T], where: str, *values: str) -> T | None:
        found = self._all(kind, where, *values)
        return found[0] if found else None

    def _all(self, kind: type[T], where: str, *values: str) -> list[T]:
        table = kind.__name__.lower()
        rows = self._db.execute(f"SELECT json FROM {table} WHERE {where} ORDER BY number", values)
        return [codec.loads(kind, text) for (text,) in rows]

    def number(self, kind: type[T]) -> int:
        """The next number of a kind."""
        table = kind.__name__.lower()
        return int(
            self._db.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {table}").fetchone()[0]
        )

    # -- addresses ---------------------------------------------------------------

    def taken(self, subnet: IPNetwork, ip: IPAddress) -> bool:
        """Whether somebody has this address."""
        row = self._db.execute(
            "SELECT 1 FROM address WHERE subnet = ? AND ip = ?", (str(subnet), ip.packed.hex())
        )
        return row.fetchone() is not None

    def holder(self, subnet: IPNetwork, ip: IPAddress) -> str:
        """Who has it."""
        row = self._db.execute(
            "SELECT owner FROM address WHERE subnet = ? AND ip = ?", (str(subnet), ip.packed.hex())
        )
        found = row.fetchone()
        return found[0] if found else ""

    def count(self, subnet: IPNetwork, span: IPNetwork) -> int:
        """How many addresses of a part of the subnet are handed out."""
        ends = (span.network_address.packed.hex(), span.broadcast_address.packed.hex())
        row = self._db.execute(
            "SELECT count(*) FROM address WHERE subnet = ? AND ip BETWEEN ? AND ?",
            (str(subnet), *ends),
        )
        return int(row.fetchone()[0])

    def hint(self, subnet: IPNetwork, span: str) -> IPAddress | None:
        """An address below which none of that range is free."""
        row = self._db.execute(
            "SELECT ip FROM hint WHERE subnet = ? AND span = ?", (str(subnet), span)
        ).fetchone()
        return type(subnet.network_address)(bytes.fromhex(row[0])) if row else None

    # -- host ports ---------------------------------------------------------------

    def ports(self, protocol: str, port: int) -> list[tuple[IPAddress, str]]:
        """On which addresses a port of the host is published, and by which endpoint."""
        rows = self._db.execute(
            "SELECT ip, owner FROM port WHERE protocol = ? AND port = ?", (protocol, port)
        )
        return [(ip_address(ip), owner) for ip, owner in rows]

    # -- what exists in the kernel ---------------------------------------------------

    def things(self, owner: str | None = None) -> list[Thing]:
        """What is recorded to exist, of one owner or altogether, in the order in which it came to be."""
        if owner is None:
            rows = self._db.execute("SELECT kind, json FROM thing ORDER BY number")
        else:
            query = (
                "SELECT kind, json FROM thing NATURAL JOIN owner WHERE owner = ? ORDER BY number"
            )
            rows = self._db.execute(query, (owner,))
        return [thing_of(kind, text) for kind, text in rows]

    def things_of(self, kind: type[Thing]) -> list[Thing]:
        """What is recorded to exist of one kind."""
        rows = self._db.execute(
            "SELECT kind, json FROM thing WHERE kind = ? ORDER BY number", (kind.__name__,)
        )
        return [thing_of(name, text) for name, text in rows]

    def thing(self, key: Key) -> Thing | None:
        """What is recorded under a key."""
        row = self._db.execute(
            "SELECT kind, json FROM thing WHERE key = ?", (_key(key),)
        ).fetchone()
        return thing_of(*row) if row else None

    def previous(self, key: Key) -> Thing | None:
        """What a standing thing was before plumb changed it."""
        row = self._db.execute(
            "SELECT kind, previous FROM thing WHERE key = ?", (_key(key),)
        ).fetchone()
        return thing_of(row[0], row[1]) if row and row[1] else None

    def owners(self, key: Key) -> list[str]:
        """Who needs a thing."""
        return [
            name
            for (name,) in self._db.execute("SELECT owner FROM owner WHERE key = ?", (_key(key),))
        ]

    # -- changes ---------------------------------------------------------------

    def begin(self, before: Iterable[Thing], after: Iterable[Thing], change: Change) -> int:
        """Write down what is about to be done, before it is done; the journal's number of it."""
        text = write_entry(before, after, change)
        with self._transaction():
            return int(
                self._db.execute("INSERT INTO journal (json) VALUES (?)", (text,)).lastrowid or 0
            )

    def finish(self, number: int, change: Change) -> None:
        """It was done: the change counts, the journal's line goes, in one transaction."""
        with self._transaction():
            self._apply(change)
            self._db.execute("DELETE FROM journal WHERE number = ?", (number,))

    def abandon(self, number: int) -> None:
        """It was taken back: the journal's line goes, nothing else."""
        self._db.execute("DELETE FROM journal WHERE number = ?", (number,))

    def unfinished(self) -> list[Unfinished]:
        """What was begun by somebody who died over it."""
        rows = self._db.execute("SELECT number, json FROM journal ORDER BY number").fetchall()
        return [read_entry(number, text) for number, text in rows]

    def _apply(self, change: Change) -> None:
        db = self._db
        for kind, ident in change.drop:
            db.execute(f"DELETE FROM {kind} WHERE id = ?", (ident,))
            db.execute("DELETE FROM port WHERE owner = ?", (ident,))
        for value in change.put:
            db.execute("DELETE FROM port WHERE owner = ?", (value.id,))
        for value in change.put:
            _PUT[type(value)](db, value)
        for owner in change.released:
            self._release(owner)
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
                "INSERT INTO thing (key, kind, json, previous) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO "
                "UPDATE SET json = excluded.json",
                (_key(thing.key), type(thing).__name__, codec.dumps(thing), before),
            )
        lost = [
            key
            for owner, keys in change.owners
            for key in self._own(owner, [_key(key) for key in keys])
        ]
        # Only now: what one owner has let go of may be another's since.
        db.executemany(
            "DELETE FROM thing WHERE key = ? AND NOT EXISTS (SELECT 1 FROM owner WHERE owner.key = thing.key)",
            [(key,) for key in lost],
        )
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", change.meta)

    def _release(self, owner: str) -> None:
        rows = self._db.execute(
            "DELETE FROM address WHERE owner = ? RETURNING subnet, ip", (owner,)
        ).fetchall()
        for subnet, ip in rows:
            self._db.execute("UPDATE hint SET ip = min(ip, ?) WHERE subnet = ?", (ip, subnet))

    def _own(self, owner: str, keys: Iterable[str]) -> set[str]:
        """Make these the keys of an owner; those that it had and has no more."""
        wanted = set(keys)
        had = {
            key for (key,) in self._db.execute("SELECT key FROM owner WHERE owner = ?", (owner,))
        }
        self._db.executemany(
            "INSERT INTO owner VALUES (?, ?)", [(owner, key) for key in wanted - had]
        )
        self._db.executemany(
            "DELETE FROM owner WHERE owner = ? AND key = ?", [(owner, key) for key in had - wanted]
        )
        return had - wanted

    def remark(self, key: str, value: str) -> None:
        """Write down a remark about the root."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def begin_reset(self) -> None:
        """Write down that all is about to be taken away."""
        self.remark("reset", "begun")

    def empty(self) -> None:
        """All has been taken away: nothing is on record any more."""
        with self._transaction():
            for table in (
                "meta",
                "network",
                "sandbox",
                "endpoint",
                "address",
                "port",
                "hint",
                "thing",
                "owner",
                "journal",
            ):
                self._db.execute(f"DELETE FROM {table}")

    def meta(self, key: str) -> str:
        """A remark about the root: its id, the boot in which it was last at work."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return NO_FILE
    return found.st_dev, found.st_ino


def _put_network(db: sqlite3.Connection, net: Network) -> None:
    db.execute(
        "INSERT OR REPLACE INTO network VALUES (?, ?, ?, ?)",
        (net.id, net.name, net.number, codec.dumps(net)),
    )


def _put_sandbox(db: sqlite3.Connection, box: Sandbox) -> None:
    db.execute(
        "INSERT OR REPLACE INTO sandbox VALUES (?, ?, ?, ?)",
        (box.id, box.name, box.number, codec.dumps(box)),
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


_PUT: dict[type, Any] = {Network: _put_network, Sandbox: _put_sandbox, Endpoint: _put_endpoint}


def _key(key: Key) -> str:
    return json.dumps(key, separators=(",", ":"))
