"""Shapes: the types of Go's structs given to a JSON document.

A template treats a struct otherwise than a map: an unknown field of it is an error, and a null in
it is a nil of some type. Which fields have which type is told by a table of Go's type names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumb.views.template.values import List, Map, Null, Pointer, Struct, zero


def typed(document: Any, of: str, fields: Mapping[str, str], place: str = "") -> Any:
    """A JSON document as a value of a type.

    Args:
        of: the type in Go's words, "" for what the document itself says.
        fields: types by field's name, or by "Struct.Field" where the name alone is not enough;
            "Struct.?Field" for one that JSON leaves out where it is empty.
        place: name of the field that holds the document.
    """
    if not of:
        of = _own_type(document, place)
    if document is None:
        return Null(of)
    if of.startswith("map["):
        key, _, held = of[4:].partition("]")
        return Map(
            {name: typed(item, held, fields, place) for name, item in document.items()}, held, key
        )
    if of.startswith("[]"):
        return List([typed(item, of[2:], fields, place) for item in document], of[2:])
    if of.startswith("*"):
        return Pointer(typed(document, of[1:], fields, place))
    if isinstance(document, Mapping):
        omitted = (name for name in fields if name.startswith(f"{place}.?"))
        return Struct(
            {
                name: typed(item, fields.get(f"{place}.{name}", fields.get(name, "")), fields, name)
                for name, item in document.items()
            },
            of,
            {name.partition("?")[2]: zero(fields[name]) for name in omitted},
        )
    return document


def _own_type(document: Any, place: str) -> str:
    match document:
        case [Mapping(), *_]:
            return f"[]types.{place}"
        case list() | None:
            return "[]string"
    return f"types.{place}"
