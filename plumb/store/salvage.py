"""Salvage of a record that cannot be used: row by row, whatever can still be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from plumb.errors import Broken
from plumb.store import codec
from plumb.store.change import KINDS, read_entry, thing_of
from plumb.store.sqlite_schema import VERSION

if TYPE_CHECKING:
    from plumb.things import Thing

DAMAGED_HINT = (
    "'plumb check --store' tells what is wrong with it; 'plumb reset --force' removes all that was "
    "built, as far as it can be found, and keeps a copy of the record"
)
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""Errors of a row that is not what plumb has written."""


class Salvaged(NamedTuple):
    """Rest of a record: the things, and what the standing ones were before plumb."""

    things: list[Thing]
    previous: list[Thing]


def salvaged(path: str) -> Salvaged:
    """Read what can be read of a record; nothing where there is none."""
    rest = Salvaged([], [])
    for kind, text, before in _rows(path, "SELECT kind, json, previous FROM thing ORDER BY number"):
        try:
            rest.things.append(thing_of(kind, text))
            if before:
                rest.previous.append(thing_of(kind, before))
        except UNREADABLE:
            continue
    return rest


def _rows(path: str, query: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a query until one cannot be read."""
    if not os.path.exists(path):
        return
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as db:
            yield from db.execute(query)
    except sqlite3.Error:
        return


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def damage(path: str) -> list[str]:
    """List what is wrong with a record, a line each; nothing where there is none."""
    if not os.path.exists(path):
        return []
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as db:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                return [f"it is of version {version}, this plumb knows version {VERSION}"]
            pages = [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
            return [f"page: {line}" for line in pages] or [*_unreadable(db)]
    except sqlite3.Error as error:
        return [str(error)]


def _unreadable(db: sqlite3.Connection) -> Iterator[str]:
    """Yield the rows that do not say what plumb writes."""
    for table, kind in KINDS.items():
        for ident, text in db.execute(f"SELECT id, json FROM {table}"):  # noqa: S608  # one of KINDS
            try:
                codec.loads(kind, text)
            except UNREADABLE as error:
                yield f"{table} {ident}: {error!r}"
    for key, name, text, previous in db.execute("SELECT key, kind, json, previous FROM thing"):
        try:
            for each in filter(None, (text, previous)):
                thing_of(name, each)
        except UNREADABLE as error:
            yield f"thing {key}: {error!r}"
    for number, text in db.execute("SELECT number, json FROM journal"):
        try:
            read_entry(number, text)
        except UNREADABLE as error:
            yield f"journal {number}: {error!r}"


def tells(name: str, method: Callable[..., object]) -> Callable[..., object]:
    """Wrap a method of the store, so that a page or row that cannot be read is told in one line."""

    @wraps(method)
    def wrapped(self: Any, *args: object, **named: object) -> object:
        try:
            return method(self, *args, **named)
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            raise
        except (sqlite3.DatabaseError, *UNREADABLE) as error:
            raise Broken(
                f"the store {self._layout.database} cannot be read ({name}): {error!r}",
                DAMAGED_HINT,
            ) from error

    return wrapped
