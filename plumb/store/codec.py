"""Frozen values as JSON, by the types of their fields: what is written down is what is read back.

Fields that have their default value are left out, so that a value of an earlier version reads as it
was meant.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from _socket import AF_INET, AF_INET6, inet_pton
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from functools import cache, lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeVar

T = TypeVar("T")
PLAIN = (str, int, bool, float, type(None))
BY_TEXT: dict[frozenset[type], Callable[[Any], Any]] = {
    frozenset({IPv4Address}): IPv4Address,
    frozenset({IPv6Address}): IPv6Address,
    frozenset({IPv4Interface}): IPv4Interface,
    frozenset({IPv6Interface}): IPv6Interface,
    frozenset({IPv4Network}): IPv4Network,
    frozenset({IPv6Network}): IPv6Network,
    frozenset({IPv4Address, IPv6Address}): ip_address,
    frozenset({IPv4Interface, IPv6Interface}): ip_interface,
    frozenset({IPv4Network, IPv6Network}): ip_network,
}

FAMILIES: dict[type, int] = {
    IPv4Address: AF_INET,
    IPv6Address: AF_INET6,
    IPv4Interface: AF_INET,
    IPv6Interface: AF_INET6,
    IPv4Network: AF_INET,
    IPv6Network: AF_INET6,
}


FEW, MANY, LONG = 200, 5000, 4096
"""Rows that are looked up among those read last, rows that are kept for that, and the length from
which on a row's text is not kept: as that of a file."""
_READ: dict[tuple[type, str], Any] = {}
"""Values that were read last, by type and text."""
TEXT = json.JSONEncoder(separators=(",", ":"))
"""The encoder of all JSON in the store."""


def dumps(value: object) -> str:
    """A value as JSON text: what `TEXT` makes of `plain`, written without the steps between.

    A record is many small values, and a call of the JSON encoder for each takes longer than writing
    them.
    """
    kind = type(value)
    write = _WRITERS.get(kind)
    if write is None:
        write = _WRITERS[kind] = _writer(kind)
    return write(value)


def loads(kind: type[T], text: str) -> T:
    """The dataclass of that type from JSON text."""
    return decode(kind, json.loads(text))


def decode(kind: type[T], value: Any) -> T:
    """The dataclass of that type from what JSON has, which it may change."""
    return decoder(kind)(value)


def decoder(kind: type[T]) -> Callable[[Any], T]:
    """The function that makes a dataclass of that type of what JSON has, for those with many."""
    return _decoder(typing.cast(Hashable, kind))


def decode_each(kind: type[T], texts: Sequence[str]) -> list[T]:
    """Dataclasses of one type from the JSON text of each, which are parsed as one."""
    return typing.cast(list[T], decode_rows([(kind, text) for text in texts]))


def decode_rows(rows: Sequence[tuple[type, str]]) -> list[Any]:
    """Dataclasses from their types and JSON texts, which are parsed as one.

    A few rows are looked up among those that were read last: the values are frozen, and a process
    that goes on reads the same container before each of its operations.
    """
    if len(rows) > FEW:
        return _decode_rows(rows)
    # One look for each: another thread may forget them all between two.
    found = {row: known for row in rows if (known := _READ.get(row)) is not None}
    new = [row for row in rows if row not in found]
    if new:
        made = dict(zip(new, _decode_rows(new), strict=True))
        found.update(made)
        if len(_READ) > MANY:
            _READ.clear()
        _READ.update((row, value) for row, value in made.items() if len(row[1]) < LONG)
    return [found[row] for row in rows]


def _decode_rows(rows: Sequence[tuple[type, str]]) -> list[Any]:
    values = json.loads(f"[{','.join([text for _, text in rows])}]")
    decoders: dict[type, Callable[[Any], Any]] = {kind: decoder(kind) for kind, _ in rows}
    return [decoders[kind](value) for (kind, _), value in zip(rows, values, strict=True)]


def plain(value: Any) -> Any:
    """A value as what JSON has."""
    return value if type(value) in PLAIN else _encoder(typing.cast(Hashable, type(value)))(value)


@cache
def _encoder(wanted: Hashable) -> Callable[[Any], Any]:
    kind = typing.cast(type, wanted)
    if issubclass(kind, Enum):
        values = {member: member.value for member in kind}
        return values.__getitem__
    if issubclass(kind, PLAIN):
        return lambda value: value
    if issubclass(kind, list | tuple):
        return lambda value: [plain(item) for item in value]
    if not dataclasses.is_dataclass(kind):
        return str
    fields = _fields(kind)

    def encode(value: Any) -> dict[str, Any]:
        own = value.__dict__
        return {name: plain(own[name]) for name, default in fields if own[name] != default}

    return encode


_WRITERS: dict[type, Callable[[Any], str]] = {str: quoted, int: repr}
"""The function that writes values of a type as JSON text; others come as values do."""


def _writer(kind: type) -> Callable[[Any], str]:
    if issubclass(kind, Enum):
        texts = {member: TEXT.encode(member.value) for member in kind}
        return texts.__getitem__
    if issubclass(kind, PLAIN):
        return TEXT.encode
    if issubclass(kind, list | tuple):
        return lambda value: f"[{','.join([dumps(item) for item in value])}]"
    if not dataclasses.is_dataclass(kind):
        return lambda value: quoted(str(value))
    fields = [(name, f"{quoted(name)}:", default) for name, default in _fields(kind)]

    def write(value: Any) -> str:
        own = value.__dict__
        parts = [
            label + dumps(item)
            for name, label, default in fields
            if (item := own[name]) is not default and item != default
        ]
        return f"{{{','.join(parts)}}}"

    return write


def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    """A dataclass's fields and defaults; a default that equals nothing, where there is none."""
    found = []
    for field in dataclasses.fields(kind):
        default = field.default
        if default is dataclasses.MISSING:
            factory = field.default_factory
            default = object() if factory is dataclasses.MISSING else factory()
        found.append((field.name, default))
    return tuple(found)


@cache
def _decoder(wanted: Hashable) -> Callable[[Any], Any]:
    hint: Any = wanted
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if hint in PLAIN or hint is Any:
        return lambda value: value
    if frozenset({hint}) in BY_TEXT:
        return _by_text((hint,))
    if isinstance(hint, type) and issubclass(hint, tuple):  # a NamedTuple
        hints = typing.get_type_hints(hint)
        parts = [_decoder(hints[name]) for name in hint._fields]  # type: ignore[attr-defined]  # no type says "NamedTuple"
        return lambda value: hint(*(part(item) for part, item in zip(parts, value, strict=False)))
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint))
    return _enum(typing.cast(type[Enum], hint))


def _dataclass(kind: type) -> Callable[[Any], Any]:
    """Decode a dataclass: most of a thing's fields are what JSON has, and need no decoder.

    What was written by a later version may have fields that this one does not know.
    """
    hints = typing.get_type_hints(kind)
    names = frozenset(field.name for field in dataclasses.fields(kind))
    parts = [(name, _decoder(hints[name])) for name in names if hints[name] not in (*PLAIN, Any)]
    make = _maker(kind)

    def decode(value: dict[str, Any]) -> Any:
        known = (
            value if value.keys() <= names else {each: value[each] for each in names & value.keys()}
        )
        for name, part in parts:
            if name in known:
                known[name] = part(known[name])
        return make(known)

    return decode


def _maker(kind: type) -> Callable[[dict[str, Any]], Any]:
    """Make instances of a dataclass of their fields' values, without a call of `__init__` each.

    A class that makes some of its fields itself is left to do so.
    """
    fields = dataclasses.fields(kind)
    defaults = {each.name: each.default for each in fields}
    if hasattr(kind, "__post_init__") or any(
        each.default_factory is not dataclasses.MISSING for each in fields
    ):
        return lambda values: kind(**values)
    missing = dataclasses.MISSING
    needed = frozenset(name for name, default in defaults.items() if default is missing)

    def make(values: dict[str, Any]) -> Any:
        if not needed <= values.keys():
            return kind(**values)  # which says what is missing
        made: Any = object.__new__(kind)
        own = made.__dict__
        own.update(defaults)
        own.update(values)
        return made

    return make


def _enum(kind: type[Enum]) -> Callable[[Any], Any]:
    members = {member.value: member for member in kind}
    return lambda value: members[value]


def _tuple(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        one = _decoder(arguments[0])
        return lambda value: tuple(one(item) for item in value)
    parts = [_decoder(argument) for argument in arguments]
    return lambda value: tuple(part(item) for part, item in zip(parts, value, strict=True))


def _union(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    kinds = [kind for kind in arguments if kind is not type(None)]
    one = _decoder(kinds[0]) if len(kinds) == 1 else _by_text(tuple(kinds))
    return lambda value: None if value is None else one(value)


def _by_text(kinds: tuple[Any, ...]) -> Callable[[str], Any]:
    """Parse a text once: a subnet, and an address that packets go through, are on many rows."""
    parsed_by_python = BY_TEXT[frozenset(kinds)]
    makers = {FAMILIES[kind]: kind for kind in kinds}
    prefixed = kinds[0] not in (IPv4Address, IPv6Address)

    def parse(text: str) -> Any:
        try:
            return (_prefixed if prefixed else _address)(text, makers)
        except (KeyError, OSError, TypeError, ValueError):
            return parsed_by_python(text)  # which says what is wrong

    return lru_cache(maxsize=1 << 14)(parse)


def _address(text: str, makers: Mapping[int, Callable[[Any], Any]]) -> Any:
    """Read an address by inet_pton(3), which takes a third of the time that `ipaddress` takes."""
    family = AF_INET6 if ":" in text else AF_INET
    return makers[family](int.from_bytes(inet_pton(family, text), "big"))


def _prefixed(text: str, makers: Mapping[int, Callable[[Any], Any]]) -> Any:
    """Read an address with the length of its prefix likewise."""
    address, _, length = text.partition("/")
    if not (length.isascii() and length.isdigit()):
        raise ValueError(text)
    family = AF_INET6 if ":" in text else AF_INET
    return makers[family]((int.from_bytes(inet_pton(family, address), "big"), int(length)))
