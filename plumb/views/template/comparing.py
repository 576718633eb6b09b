"""Comparing: eq, ne, lt, le, gt and ge, by Go's rules for values of different types."""

from __future__ import annotations

from typing import Any

from plumb.views.template.text.printing import PLAIN, argument
from plumb.views.template.text.quoting import raw
from plumb.views.template.values import Failed, Interface, Null, Pointer, kind, plain, type_name

BASIC = {
    "bool": "bool",
    "int": "int",
    "uint8": "uint",
    "float64": "float",
    "complex128": "complex",
    "string": "string",
}
INTEGERS = {"int", "uint"}


def equal(first: Any, *others: Any) -> bool:
    """True if the first equals one of the others.

    Raises:
        Failed: they cannot be compared.
    """
    if not others:
        raise Failed("missing argument for comparison")
    first = plain(first)
    return any(_equal(first, plain(other)) for other in others)


def _equal(one: Any, other: Any) -> bool:
    kinds = [BASIC.get(kind(value)) for value in (one, other)]
    if kinds[0] != kinds[1]:
        if set(kinds) == INTEGERS:
            return bool(one == other)
        if one is not None and other is not None:
            raise Failed("incompatible types for comparison")
        return False
    if kinds[0] is not None:
        return bool(one == other)
    return _same(one, other)


def _same(one: Any, other: Any) -> bool:
    """Compare what is neither a number nor a string: nil is equal to nil only."""
    if None not in (one, other) and kind(one) != kind(other):
        raise Failed(
            f"non-comparable types {argument(one, 's', PLAIN)}: {type_name(one)}, "
            f"{type_name(other)}: {argument(other, 'v', PLAIN)}"
        )
    if _is_nil(one) or _is_nil(other):
        return _is_nil(one) and _is_nil(other)
    if not isinstance(other, Pointer):
        raise Failed(f"non-comparable type {argument(other, 's', PLAIN)}: {type_name(other)}")
    return isinstance(one, Pointer) and one.to is other.to


def _is_nil(value: Any) -> bool:
    return value is None or isinstance(value, Null) or value == Interface(None)


def unequal(one: Any, other: Any) -> bool:
    """True if one value differs from another."""
    return not equal(one, other)


def less(one: Any, other: Any) -> bool:
    """True if one value is below another.

    Raises:
        Failed: they have no order.
    """
    one, other = plain(one), plain(other)
    kinds = [BASIC.get(kind(value)) for value in (one, other)]
    if None in kinds:
        raise Failed("invalid type for comparison")
    if kinds[0] != kinds[1] and set(kinds) != INTEGERS:
        raise Failed("incompatible types for comparison")
    if kinds[0] in ("bool", "complex"):
        raise Failed("invalid type for comparison")
    return bool(raw(one) < raw(other)) if kinds[0] == "string" else bool(one < other)


def at_most(one: Any, other: Any) -> bool:
    """True if one value is not above another."""
    return less(one, other) or equal(one, other)


def above(one: Any, other: Any) -> bool:
    """True if one value is above another."""
    return not at_most(one, other)


def at_least(one: Any, other: Any) -> bool:
    """True if one value is not below another."""
    return not less(one, other)
