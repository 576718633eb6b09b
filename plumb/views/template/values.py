"""Values as Go's reflect has them, for a document that Python holds.

bool, int, float, complex and str stand for Go's bool, int, float64, complex128 and string. None is
no value at all (a key that a map lacks); a nil has a type. What a container of interfaces holds
comes out of it in an Interface, as in Go, where errors show the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumb.frozen import frozen

ANY = "interface {}"


class Failed(Exception):
    """A function refuses its arguments; the message is Go's."""


class Number(str):
    """json.Number: a number of a document, kept as its digits; Go compares it as a string."""


class Uint8(int):
    """A byte of a string."""


class List(list[Any]):
    """Slice with the type of its elements."""

    def __init__(self, items: Any, of: str = ANY) -> None:
        super().__init__(items)
        self.of = of


class Map(dict[str, Any]):
    """Map with the types of its keys and elements."""

    def __init__(self, items: Any, of: str = ANY, key: str = "string") -> None:
        super().__init__(items)
        self.of = of
        self.key = key


class Struct(dict[str, Any]):
    """Struct of a named type; its fields in the order in which it declares them.

    `omitted` are fields that JSON leaves out, as they are empty.
    """

    def __init__(self, items: Any, name: str, omitted: Mapping[str, Any] | None = None) -> None:
        super().__init__(items)
        self.name = name
        self.omitted = omitted or {}


@frozen
class Pointer:
    """Pointer to a struct."""

    to: Struct


@frozen
class Null:
    """Nil of a slice's, a map's or a pointer's type."""

    type: str


@frozen
class Interface:
    """Element of a container of interfaces; None is the nil interface."""

    holds: Any


def plain(value: Any) -> Any:
    """A value out of its interface; None for the nil interface."""
    return value.holds if isinstance(value, Interface) else value


def indirect(value: Any) -> tuple[Any, bool]:
    """Follow interfaces and pointers to a value; tell if that is a nil."""
    while True:
        match value:
            case Interface(holds=None):
                return value, True
            case Interface(holds=inner) | Pointer(to=inner):
                value = inner
            case Null(type=name) if name.startswith("*"):
                return value, True
            case _:
                return value, False


NAMES = {
    Number: "json.Number",
    Uint8: "uint8",
    bool: "bool",
    int: "int",
    float: "float64",
    complex: "complex128",
    str: "string",
}


def type_name(value: Any) -> str:
    """Name of a value's type in Go."""
    match value:
        case Interface():
            return ANY
        case Null(type=name):
            return name
        case List():
            return f"[]{value.of}"
        case Map():
            return f"map[{value.key}]{value.of}"
        case Pointer(to=struct):
            return f"*{struct.name}"
        case Struct():
            return value.name
    return NAMES.get(type(value)) or str(value.type_name)


def kind(value: Any) -> str:
    """Kind of a value: what its type is made of; "invalid" for no value."""
    match value:
        case None:
            return "invalid"
        case Number():
            return "string"
        case Interface():
            return "interface"
        case List():
            return "slice"
        case Map():
            return "map"
        case Struct():
            return "struct"
        case Null(type=name):
            return {"*": "ptr", "[": "slice"}.get(name[0], "map")
    return NAMES.get(type(value), "ptr")


def truth(value: Any) -> bool:
    """True unless a value is zero, nil or empty."""
    value = plain(value)
    return not (value is None or isinstance(value, Null)) and (
        isinstance(value, Struct) or bool(value)
    )


def element(value: Any, of: str) -> Any:
    """An element as it comes out of a container whose elements have this type."""
    return Interface(value) if of == ANY else value


def zero(of: str) -> Any:
    """Zero value of a type."""
    if of == ANY:
        return Interface(None)
    if of.startswith(("[]", "map[", "*")):
        return Null(of)
    return {"string": "", "bool": False, "int": 0}.get(of, Struct({}, of))


def generic(document: Any) -> Any:
    """A JSON document as Go decodes it without types: maps, slices, json.Number."""
    match document:
        case bool() | str() | None:
            return document
        case int() | float():
            return Number(document)
        case Mapping():
            return Map({key: generic(value) for key, value in document.items()})
    return List([generic(item) for item in document])
