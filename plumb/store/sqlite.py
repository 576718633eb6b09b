"""The store in an SQLite file: the default, for one host.

Three kinds of things are kept: the intent (networks, sandboxes, endpoints, and who has which
address), what of it exists in the kernel (things, by key, with their owners; of a sysctl or policy
also what it was before), and the journal (what an operation that has begun may come to leave).

Readers never wait: the file is in WAL mode. Writers take turns by a lock on the root folder
(`writers_lock`).

A command that has succeeded outlasts a power cut: `finish` and `empty` wait for the disk
(synchronous FULL). `begin` does not (NORMAL): the kernel's objects, which the journal is about, are
gone after a power cut whatever it says, and a process that is killed loses nothing that it has
written. The WAL keeps the file whole either way. On a tmpfs there is nothing to wait for.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar

from plumb.address import IPAddress, IPNetwork
from plumb.errors import Broken, Invalid
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint
from plumb.model.paths import Layout
from plumb.model.service.virtual import VirtualService
from plumb.root import make_folder
from plumb.store import CLAIM, T, codec, reserve
from plumb.store.change import (
    TABLE_OF,
    Change,
    Texts,
    Unfinished,
    read_entry,
    things_of,
    write_entry,
)
from plumb.store.salvage import DAMAGED_HINT, tells
from plumb.store.sqlite_ahead import Ahead
from plumb.store.sqlite_change import apply, key_text
from plumb.store.sqlite_schema import (
    MEMORY,
    NO_FILE,
    TABLES,
    among,
    durable,
    identity,
    opened,
    transaction,
    unwritable,
)
from plumb.store.writers_lock import writers_turn

if TYPE_CHECKING:
    from plumb.things import Key, Thing

W = TypeVar("W")
UNNUMBERED = {TABLE_OF[RemoteEndpoint], TABLE_OF[VirtualService]}
RESETS = 3
"""Times that a reset may take the file away while it is opened; whoever opens it goes on."""


class SqliteStore:
    """The store under one root.

    Args:
        layout: where it is.
        create: make it if it is not there; else a store that is not there reads as empty.
    """

    def __init__(self, layout: Layout, create: bool = False) -> None:
        self._layout = layout
        self._frees, self._lent = True, False
        self._texts = Texts()
        for left in reversed(range(RESETS + 1)):
            found = identity(layout.database)
            try:
                self._open_or_make(create)
                break
            except sqlite3.Error as error:
                if not left or identity(layout.database) == found:
                    raise Broken(
                        f"the store {layout.database} cannot be used: {error}", DAMAGED_HINT
                    ) from error

    def _open_or_make(self, create: bool) -> None:
        there = os.path.exists(self._layout.database)
        made = not os.path.exists(self._layout.root)
        if create and not there:
            self._make_root()
        where = self._layout.database if create or there else MEMORY
        self._db = opened(where, self._layout.reserve)
        self._ahead = Ahead(self._db)
        self._file = identity(self._layout.database)
        if create:
            reserve.keep(self._layout.reserve)
        if create and not there and made:
            self.remark("root", "made")

    def _make_root(self) -> None:
        try:
            make_folder(self._layout.root, 0o700)
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(self._layout.database, flags, 0o600))
        except OSError as error:
            raise Invalid(
                f"cannot make the root {self._layout.root}: {error.strerror}",
                "run it as root (sudo), or name another root with PLUMB_ROOT",
            ) from error

    @property
    def current(self) -> bool:
        """True while this is the file under the root.

        A reset takes it away, and who waited for its turn must open another.
        """
        return self._file == identity(self._layout.database) != NO_FILE

    def close(self) -> None:
        """Let go of the file; what a reserve has lent is put back, where there was one."""
        self._db.close()
        if self._lent and self.current:
            reserve.keep(self._layout.reserve)
        self._lent = False

    def lock(self) -> AbstractContextManager[None]:
        """The writers' turn on this root, for the length of a with block.

        Raises:
            Conflict: another process has held it for two minutes.
        """
        return writers_turn(self._layout.root, self._layout.queue)

    # -- the intent ---------------------------------------------------------------

    def get(self, kind: type[T], reference: str) -> T | None:
        """A network, sandbox or endpoint by its id."""
        return self._one(kind, "id = ?", reference)

    def named(self, kind: type[T], name: str) -> T | None:
        """A network or sandbox by its name."""
        return self._one(kind, "name = ?", name)

    def prefixed(self, kind: type[T], prefix: str) -> list[T]:
        """List those whose id begins so."""
        return self._all(kind, "id >= ? AND id < ?", prefix, prefix + "g")

    def all(self, kind: type[T]) -> list[T]:
        """List all of a kind, in the order in which they were made."""
        return self._all(kind, "1")

    def endpoints(self, *, network: str = "", sandbox: str = "") -> list[Endpoint]:
        """The endpoints of a network or of a sandbox, in the order in which they were made."""
        column = "network" if network else "sandbox"
        return self._all(Endpoint, f"{column} = ?", network or sandbox)

    def remotes(self, network: str) -> list[RemoteEndpoint]:
        """The endpoints of a network that are on other hosts, in the order of ids."""
        return self._all(RemoteEndpoint, "network = ?", network)

    def services(self, network: str) -> list[VirtualService]:
        """The services on a network, in the order of ids."""
        return self._all(VirtualService, "network = ?", network)

    def _one(self, kind: type[T], where: str, *values: str) -> T | None:
        found = self._all(kind, where, *values)
        return found[0] if found else None

    def _all(self, kind: type[T], where: str, *values: str) -> list[T]:
        table = TABLE_OF[kind]
        order = "id" if table in UNNUMBERED else "number"
        rows = self._db.execute(f"SELECT json FROM {table} WHERE {where} ORDER BY {order}", values)
        return codec.decode_each(kind, [text for (text,) in rows])

    def number(self, kind: type[T]) -> int:
        """The next number of a kind."""
        query = f"SELECT coalesce(max(number), 0) + 1 FROM {TABLE_OF[kind]}"
        return int(self._db.execute(query).fetchone()[0])

    # -- addresses ---------------------------------------------------------------

    def taken(self, subnet: IPNetwork, ip: IPAddress) -> bool:
        """Tell whether an address of the subnet is handed out."""
        query = "SELECT 1 FROM address WHERE subnet = ? AND ip = ?"
        return self._db.execute(query, (str(subnet), ip.packed.hex())).fetchone() is not None

    def holder(self, subnet: IPNetwork, ip: IPAddress) -> str:
        """Id of the network or endpoint that has it, or empty."""
        row = self._db.execute(
            "SELECT owner FROM address WHERE subnet = ? AND ip = ?", (str(subnet), ip.packed.hex())
        ).fetchone()
        return row[0] if row else ""

    def count(self, subnet: IPNetwork, span: IPNetwork) -> int:
        """Number of addresses of a part of the subnet that are handed out."""
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
        """Addresses on which a port of the host is published, each with the endpoint's id."""
        query = "SELECT ip, owner FROM port WHERE protocol = ? AND port = ?"
        return [(ip_address(ip), end) for ip, end in self._db.execute(query, (protocol, port))]

    # -- what exists in the kernel ---------------------------------------------------

    def things(self, owner: str | None = None) -> list[Thing]:
        """Things on record, of one owner or of all, in the order in which they came to be."""
        if owner is not None:
            return self.things_of_owners([owner]).get(owner, [])
        return self._things("1", ())

    def things_of_owners(self, owners: Sequence[str]) -> dict[str, list[Thing]]:
        """Things on record of each of these owners, in the order in which they came to be."""
        query = "SELECT kind, json, owner FROM thing NATURAL JOIN owner WHERE owner IN ({}) "
        rows = among(self._db, query + "ORDER BY number", owners)
        found: dict[str, list[Thing]] = {}
        things = things_of([row[:2] for row in rows])
        self._texts.know([(thing, row[1]) for thing, row in zip(things, rows, strict=True)])
        for thing, row in zip(things, rows, strict=True):
            found.setdefault(row[2], []).append(thing)
        return found

    def things_of(self, *kinds: type[Thing]) -> list[Thing]:
        """Things on record of these kinds, for all of which the table is read once."""
        names = [kind.__name__ for kind in kinds]
        return self._things(f"kind IN ({','.join('?' * len(names))})", names)

    def things_under(self, *start: str) -> list[Thing]:
        """Things on record whose keys begin with these words, which an index finds."""
        words = key_text(start).removesuffix("]")  # below, "-" follows "," in ASCII
        return self._things("key >= ? AND key < ?", (f"{words},", f"{words}-"))

    def things_saying(self, *words: str) -> list[Thing]:
        """Things on record whose texts have each of these words, for which SQLite looks."""
        return self._things(" AND ".join(["instr(json, ?)"] * len(words)), words)

    def _things(self, where: str, values: Sequence[str]) -> list[Thing]:
        query = f"SELECT kind, json FROM thing WHERE {where} ORDER BY number"
        return things_of(self._db.execute(query, values).fetchall())

    def thing(self, key: Key) -> Thing | None:
        """Thing that is recorded under a key."""
        return self.things_with([key]).get(key)

    def things_with(self, keys: Sequence[Key]) -> dict[Key, Thing]:
        """Things on record under these keys."""
        query = "SELECT kind, json FROM thing WHERE key IN ({})"
        rows = among(self._db, query, [key_text(key) for key in keys])
        return {thing.key: thing for thing in things_of(rows)}

    def previous(self, key: Key) -> Thing | None:
        """State of a standing thing before plumb changed it."""
        return self.previous_of([key]).get(key)

    def previous_of(self, keys: Sequence[Key]) -> dict[Key, Thing]:
        """States of standing things before plumb changed them, of those that are known."""
        query = "SELECT kind, previous FROM thing WHERE previous IS NOT NULL AND key IN ({})"
        rows = among(self._db, query, [key_text(key) for key in keys])
        return {thing.key: thing for thing in things_of(rows)}

    def owners(self, key: Key) -> list[str]:
        """Owners that need a thing."""
        return self.owners_of([key])[key]

    def owners_of(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        """Owners that need each of these things."""
        texts = {key: key_text(key) for key in keys}
        found: dict[str, list[str]] = {}
        query = "SELECT key, owner FROM owner WHERE key IN ({})"
        for text, owner in among(self._db, query, list(texts.values())):
            found.setdefault(text, []).append(owner)
        return {key: found.get(text, []) for key, text in texts.items()}

    # -- changes ---------------------------------------------------------------

    def begin(self, before: Iterable[Thing], after: Iterable[Thing], change: Change) -> int:
        """Write down what is about to be done, before it is done; the journal's number of it.

        Raises:
            Broken: it cannot be written; for what frees space there is a reserve.
        """
        before, after = list(before), list(after)
        now, then = ({thing.key for thing in things} for things in (before, after))
        self._frees = then <= now and (bool(change.drop) or then < now or not change.put)
        text = write_entry(before, after, change, self._texts)
        return self._write(lambda: self._begin(text), self._frees)

    def _begin(self, text: str) -> int:
        with transaction(self._db):
            return int(
                self._db.execute("INSERT INTO journal (json) VALUES (?)", (text,)).lastrowid or 0
            )

    def finish(self, number: int, change: Change) -> None:
        """Make a change count and strike it from the journal, in one transaction.

        Raises:
            Broken: it cannot be written; the journal still has it.
        """

        def work() -> None:
            with durable(self._db):
                self._finish(number, change)

        if not self._ahead.commit(number):
            self._write(work, self._frees)
        self._texts = Texts()

    def prepare(self, number: int, change: Change) -> None:
        """Write a change, which `finish` makes count; where that fails, `finish` writes it."""
        self._ahead.write(number, lambda: self._finish(number, change))

    def _finish(self, number: int, change: Change) -> None:
        apply(self._db, change, self._texts)
        self._db.execute("DELETE FROM journal WHERE number = ?", (number,))

    def rollback(self) -> None:
        """Undo what `prepare` has written."""
        self._ahead.rollback()

    def abandon(self, number: int) -> None:
        """Strike an operation that was taken back from the journal; nothing else changes."""
        self._write(
            lambda: self._db.execute("DELETE FROM journal WHERE number = ?", (number,)), True
        )
        self._texts = Texts()

    def _write(self, work: Callable[[], W], frees: bool) -> W:
        """Write to the file; in the reserve's space if there is no other and it frees some."""
        try:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if not frees or reserve.primary(error) not in reserve.NO_SPACE:
                    raise
                self._lent = reserve.free(self._layout.reserve)
                return work()
        except sqlite3.OperationalError as error:
            raise unwritable(self._layout.database, error) from error

    def unfinished(self) -> list[Unfinished]:
        """Operations that were begun by a process that has died since."""
        rows = self._db.execute("SELECT number, json FROM journal ORDER BY number").fetchall()
        return [read_entry(number, text) for number, text in rows]

    def remark(self, key: str, value: str) -> None:
        """Write down a remark about the root."""
        self._write(
            lambda: self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value)),
            True,
        )

    def begin_reset(self) -> None:
        """Write down that all is about to be taken away."""
        with suppress(Broken):  # a reset that is interrupted must be begun again then
            self.remark("reset", "begun")

    def empty(self) -> None:
        """Forget everything but the claim on the network namespace: all has been taken away."""

        def work() -> None:
            with durable(self._db):
                self._db.execute("DELETE FROM meta WHERE key != ?", (CLAIM,))
                for table in TABLES:
                    if table != "meta":
                        self._db.execute(f"DELETE FROM {table}")

        self._write(work, True)

    def meta(self, key: str) -> str:
        """A remark about the root: its id, the boot in which it was last at work."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""


for _name in (
    *("get", "named", "prefixed", "all", "endpoints", "number", "taken", "holder", "count", "hint"),
    *("ports", "remotes", "services", "things", "things_of", "things_under", "thing", "previous"),
    *("things_of_owners", "things_with", "previous_of", "owners", "owners_of", "unfinished"),
    *("meta", "remark", "begin", "prepare", "finish", "rollback", "abandon", "empty"),
    "things_saying",
):
    setattr(SqliteStore, _name, tells(_name, getattr(SqliteStore, _name)))
