"""The tables of the store's SQLite file, and how one of an earlier version gets them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from plumb.errors import Broken
from plumb.store import reserve

VERSION = 4
PORTS = """
CREATE TABLE port (protocol TEXT, port INTEGER, ip TEXT, owner TEXT, \
PRIMARY KEY (protocol, port, ip)) WITHOUT ROWID;
CREATE INDEX port_owner ON port (owner)
"""
REMOTES = """
CREATE TABLE remote (id TEXT PRIMARY KEY, network TEXT, json TEXT) WITHOUT ROWID;
CREATE INDEX remote_network ON remote (network)
"""
SERVICES = """
CREATE TABLE service (id TEXT PRIMARY KEY, network TEXT, json TEXT) WITHOUT ROWID;
CREATE INDEX service_network ON service (network)
"""
UPGRADES = {1: PORTS, 2: REMOTES, 3: SERVICES}
"""What a store of an earlier version lacks."""
SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT UNIQUE, number INTEGER, json TEXT) \
WITHOUT ROWID;
CREATE TABLE sandbox (id TEXT PRIMARY KEY, name TEXT UNIQUE, number INTEGER, json TEXT) \
WITHOUT ROWID;
CREATE TABLE endpoint (id TEXT PRIMARY KEY, network TEXT, sandbox TEXT, number INTEGER, \
json TEXT) WITHOUT ROWID;
CREATE INDEX endpoint_network ON endpoint (network);
CREATE INDEX endpoint_sandbox ON endpoint (sandbox);
CREATE INDEX endpoint_number ON endpoint (number);
CREATE INDEX sandbox_number ON sandbox (number);
CREATE TABLE address (subnet TEXT, ip TEXT, owner TEXT, PRIMARY KEY (subnet, ip)) WITHOUT ROWID;
CREATE INDEX address_owner ON address (owner);
{PORTS};
{REMOTES};
{SERVICES};
CREATE TABLE hint (subnet TEXT, span TEXT, ip TEXT, PRIMARY KEY (subnet, span)) WITHOUT ROWID;
CREATE TABLE thing (number INTEGER PRIMARY KEY, key TEXT UNIQUE, kind TEXT, json TEXT, \
previous TEXT);
CREATE TABLE owner (owner TEXT, key TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID;
CREATE INDEX owner_key ON owner (key);
CREATE TABLE journal (number INTEGER PRIMARY KEY, json TEXT);
"""


MEMORY = ":memory:"
TOGETHER = 500
"""Values in one statement; SQLite before 3.32 takes 999 at most."""
NO_FILE = (0, 0)
TABLES = (
    "meta",
    "network",
    "sandbox",
    "endpoint",
    "remote",
    "service",
    "address",
    "port",
    "hint",
    "thing",
    "owner",
    "journal",
)


def connect(where: str) -> sqlite3.Connection:
    """Open a store's file, and make or upgrade its tables.

    Args:
        where: the file's path, or MEMORY.

    Raises:
        Broken: the file is of a version that this plumb does not know.
        sqlite3.Error: SQLite cannot use it.
    """
    db = sqlite3.connect(where, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        prepare(db, where)
    except BaseException:
        db.close()
        raise
    return db


def opened(where: str, kept: str) -> sqlite3.Connection:
    """Open a store's file; on a full disk with the reserve's space, else for reading only.

    Args:
        where: the file's path, or MEMORY.
        kept: the reserve's path.

    Raises:
        Broken, sqlite3.Error: as `connect`.
    """
    try:
        return connect(where)
    except sqlite3.Error as error:
        if where == MEMORY or reserve.primary(error) not in reserve.READ_ONLY:
            raise
    if reserve.free(kept):
        with suppress(sqlite3.Error):
            db = connect(where)
            reserve.keep(kept)
            return db
    return connect_read_only(where)


def connect_read_only(where: str) -> sqlite3.Connection:
    """Open a store's file for reading, on a disk where nothing can be written.

    Where it has no write-ahead log, all is in the file itself, and SQLite needs no other
    (immutable).

    Raises:
        sqlite3.Error: SQLite cannot use it, or it is of another version.
    """
    path = where.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        immutable = os.stat(f"{where}-wal").st_size == 0
    except FileNotFoundError:
        immutable = True
    db = sqlite3.connect(
        f"file:{path}?mode=ro" + "&immutable=1" * immutable,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    if _version(db) != VERSION:
        raise sqlite3.DatabaseError("it is of another version, and cannot be written")
    return db


def unwritable(where: str, error: sqlite3.Error) -> Broken:
    """The error that a store's file cannot be written."""
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY
    return Broken(
        f"the store {where} cannot be written: {error}",
        "free space there: 'plumb rm -f' and 'plumb reset --force' work all the same"
        if full
        else "make its file system writable, then run the command again",
    )


def prepare(db: sqlite3.Connection, where: str) -> None:
    """Set up a connection, and make or upgrade the tables.

    Args:
        db: the connection.
        where: the file's path, or ":memory:".

    Raises:
        Broken: the file is of a version that this plumb does not know.
    """
    if where != MEMORY:
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    version = _version(db)
    if version == 0 or version in UPGRADES:
        with transaction(db):
            while (version := _version(db)) < VERSION:
                _build(
                    db,
                    SCHEMA if version == 0 else UPGRADES[version],
                    VERSION if version == 0 else version + 1,
                )
    elif version != VERSION:
        raise Broken(
            f"the store {where} is of version {version}, this plumb knows version {VERSION}",
            "use the plumb that made it; 'plumb reset --force' removes what it built and keeps a "
            "copy of the record",
        )


def among(db: sqlite3.Connection, query: str, values: Sequence[str]) -> list[Any]:
    """The rows that a query finds, in few statements, where it may ask for many values.

    Args:
        query: `{}` stands for the values; an order is that of each statement's rows.
    """
    found: list[Any] = []
    for start in range(0, len(values), TOGETHER):
        some = values[start : start + TOGETHER]
        found += db.execute(query.format(",".join("?" * len(some))), some)
    return found


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Write all that a with block writes, or nothing of it."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself where the disk is full
            db.execute("ROLLBACK")
        raise


@contextmanager
def durable(db: sqlite3.Connection) -> Iterator[None]:
    """Write all that a with block writes, or nothing of it, and wait until the disk has it.

    In WAL mode NORMAL keeps the file whole, but a power cut may take the last transactions; FULL
    waits for the WAL, with all that was written before, at the end of each.
    """
    db.execute("PRAGMA synchronous = FULL")
    try:
        with transaction(db):
            yield
    finally:
        db.execute("PRAGMA synchronous = NORMAL")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _build(db: sqlite3.Connection, schema: str, version: int) -> None:
    for statement in schema.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {version}")


def identity(path: str) -> tuple[int, int]:
    """Read the numbers of a file's device and inode; `NO_FILE` where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return NO_FILE
    return found.st_dev, found.st_ino
