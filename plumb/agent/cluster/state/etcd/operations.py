"""Parts of an etcd transaction: comparisons, and what is done where they hold.

A transaction of etcd reads and writes at one revision: if all comparisons hold, one list of
operations is carried out, else the other one. Keys and values are text here; the base64 that the
JSON gateway wants for bytes is made and read in this module alone.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from plumb.frozen import frozen

Json = dict[str, Any]


def encoded(text: str) -> str:
    """Text as the gateway's base64."""
    return b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    """Text of the gateway's base64."""
    return b64decode(text).decode()


def after(prefix: str) -> str:
    """The first key behind all that begin with a prefix: etcd's range_end for it."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _span(key: str, end: str) -> Json:
    return {"key": encoded(key)} | ({"range_end": encoded(end)} if end else {})


@frozen
class KeyValue:
    """A key as etcd has it.

    Attributes:
        created, modified: revisions of the store at which the key was made, and last written.
        version: how often it was written since it was made.
        lease: the lease that it goes with, 0 for none.
    """

    key: str
    value: str
    created: int
    modified: int
    lease: int = 0
    version: int = 1


def key_value(found: Json) -> KeyValue:
    """A key from the gateway's JSON, which leaves out what is 0 or empty."""
    return KeyValue(
        decoded(found["key"]),
        decoded(found.get("value", "")),
        int(found.get("create_revision", 0)),
        int(found.get("mod_revision", 0)),
        int(found.get("lease", 0)),
        int(found.get("version", 0)),
    )


@frozen
class Get:
    """Reading of a key, or of all from `key` up to and without `end`, in the order of keys.

    Attributes:
        limit: how many at most; 0: all.
        revision: the revision to read at; 0: the newest.
        keys_only: leaves the values out.
        since: leaves out what was last written before this revision; the listing's `count` is that
            of all the same.
    """

    key: str
    end: str = ""
    limit: int = 0
    revision: int = 0
    keys_only: bool = False
    since: int = 0

    def json(self) -> Json:
        """The gateway's RangeRequest."""
        more = {
            "limit": str(self.limit),
            "revision": str(self.revision),
            "keys_only": self.keys_only,
            "min_mod_revision": str(self.since),
        }
        return _span(self.key, self.end) | {
            name: value for name, value in more.items() if value not in ("0", False)
        }

    def request(self) -> Json:
        """Wrap it as an operation of a transaction."""
        return {"request_range": self.json()}


@frozen
class Put:
    """Writing of a key; it goes with the lease, if one is named."""

    key: str
    value: str
    lease: int = 0

    def json(self) -> Json:
        """The gateway's PutRequest."""
        lease = {"lease": str(self.lease)} if self.lease else {}
        return _span(self.key, "") | {"value": encoded(self.value)} | lease

    def request(self) -> Json:
        """Wrap it as an operation of a transaction."""
        return {"request_put": self.json()}


@frozen
class Count:
    """Raising of a key's version by one, and nothing else: it has to be there."""

    key: str

    def json(self) -> Json:
        """The gateway's PutRequest that keeps the value."""
        return _span(self.key, "") | {"ignore_value": True}

    def request(self) -> Json:
        """Wrap it as an operation of a transaction."""
        return {"request_put": self.json()}


@frozen
class Delete:
    """Removal of a key, or of all from `key` up to and without `end`."""

    key: str
    end: str = ""

    def json(self) -> Json:
        """The gateway's DeleteRangeRequest."""
        return _span(self.key, self.end)

    def request(self) -> Json:
        """Wrap it as an operation of a transaction."""
        return {"request_delete_range": self.json()}


Operation = Get | Put | Count | Delete


def below(prefix: str) -> Get:
    """Reading of all keys that begin with a prefix."""
    return Get(prefix, after(prefix))


def delete_below(prefix: str) -> Delete:
    """Removal of all keys that begin with a prefix."""
    return Delete(prefix, after(prefix))


@frozen
class Compare:
    """Condition of a transaction; with `end` it must hold for every key of the range.

    Attributes:
        target: "VERSION", which is 0 for a key that is not there, "CREATE" or "MOD".
        relation: "EQUAL" or "GREATER".
    """

    key: str
    target: str
    number: int
    relation: str = "EQUAL"
    end: str = ""

    def json(self) -> Json:
        """The gateway's Compare."""
        field = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision"}
        return _span(self.key, self.end) | {
            "target": self.target,
            "result": self.relation,
            field[self.target]: str(self.number),
        }


def absent(key: str) -> Compare:
    """True of a key that is not there."""
    return Compare(key, "VERSION", 0)


def present(key: str) -> Compare:
    """True of a key that is there."""
    return Compare(key, "VERSION", 0, "GREATER")


def unchanged(key: str, found: KeyValue | None) -> Compare:
    """True as long as nobody has written a key since it was read, as not being there too."""
    return Compare(key, "MOD", found.modified if found else 0)


def none_but(prefix: str, names: list[str]) -> list[Compare]:
    """Conditions that hold if no key begins with a prefix but the prefix with one of the names."""
    keys = sorted(prefix + name for name in names)
    starts = [prefix, *(key + "\0" for key in keys)]
    return [
        Compare(start, "VERSION", 0, end=end)
        for start, end in zip(starts, [*keys, after(prefix)], strict=True)
    ]
