"""Functions that a template may call: Go's own, with the types of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from plumb.frozen import frozen
from plumb.views.template import comparing
from plumb.views.template.text import escapes
from plumb.views.template.text.printf import sprintf
from plumb.views.template.text.printing import sprint, sprintln
from plumb.views.template.text.quoting import cooked, raw
from plumb.views.template.values import (
    ANY,
    Failed,
    List,
    Map,
    Null,
    Pointer,
    Uint8,
    element,
    indirect,
    kind,
    plain,
    truth,
    type_name,
    zero,
)

VALUE = "reflect.Value"


@frozen
class Function:
    """A function: its parameters' types; the last one's is each further argument's if variadic.

    A parameter of type reflect.Value gets a value as it is, one of interface {} out of its
    interface. `short_circuit` marks and, or: their arguments are evaluated one after the other.
    """

    call: Callable[..., Any]
    parameters: tuple[str, ...]
    variadic: bool = False
    short_circuit: bool = False

    def parameter(self, at: int) -> str:
        """Type of the argument at this place."""
        return self.parameters[min(at, len(self.parameters) - 1)]


def index(item: Any, *keys: Any) -> Any:
    """Element of a slice, a map or a string, and of what that holds.

    Raises:
        Failed: there is no such place, or nothing that has any.
    """
    item = plain(item)
    if item is None:
        raise Failed("index of untyped nil")
    for key in map(plain, keys):
        item, is_nil = indirect(item)
        if is_nil:
            raise Failed("index of nil pointer")
        item = _element(item, key)
    return item


def _element(item: Any, key: Any) -> Any:
    match kind(item):
        case "slice" | "string":
            items = raw(item) if isinstance(item, str) else item
            items = [] if isinstance(item, Null) else items
            at = _place(key, len(items))
            if at == len(items):
                word = "string" if isinstance(item, str) else "slice"
                raise Failed(f"reflect: {word} index out of range")
            return Uint8(items[at]) if isinstance(item, str) else element(items[at], item.of)
        case "map":
            return _entry(item, key)
    raise Failed(f"can't index item of type {type_name(item)}")


def _entry(item: Any, key: Any) -> Any:
    if isinstance(item, Null):
        of = item.type.partition("[")[2]
        item = Map({}, of.partition("]")[2], of.partition("]")[0])
    if key is None:
        raise Failed(f"value is nil; should be of type {item.key}")
    if type_name(key) != item.key:
        raise Failed(f"value has type {type_name(key)}; should be {item.key}")
    return element(item[key], item.of) if key in item else zero(item.of)


def _place(key: Any, most: int) -> int:
    if key is None:
        raise Failed("cannot index slice/array with nil")
    if isinstance(key, bool) or not isinstance(key, int):
        raise Failed(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= most:
        raise Failed(f"index out of range: {int(key)}")
    return int(key)


def slice_(item: Any, *places: Any) -> Any:
    """Part of a slice or a string; of a string it counts bytes.

    Raises:
        Failed: there are no such places.
    """
    item = plain(item)
    if item is None:
        raise Failed("slice of untyped nil")
    if len(places) > 3:
        raise Failed(f"too many slice indexes: {len(places)}")
    if kind(item) not in ("string", "slice"):
        raise Failed(f"can't slice item of type {type_name(item)}")
    if isinstance(item, str) and len(places) == 3:
        raise Failed("cannot 3-index slice a string")
    items = [] if isinstance(item, Null) else raw(item) if isinstance(item, str) else item
    at = [0, len(items), len(items)]
    for place, key in enumerate(places):
        at[place] = _place(key, len(items))
    for low, high in pairwise(at):
        if low > high:
            raise Failed(f"invalid slice index: {low} > {high}")
    part = items[at[0] : at[1]]
    if isinstance(item, str):
        return type(item)(cooked(bytes(part)))
    return List(part, item.of) if isinstance(item, List) else item


def length(item: Any) -> int:
    """Number of elements, or of a string's bytes.

    Raises:
        Failed: it has no length.
    """
    if item is None:
        raise Failed("reflect: call of reflect.Value.Type on zero Value")
    item, is_nil = indirect(item)
    if is_nil:
        raise Failed("len of nil pointer")
    if kind(item) not in ("slice", "map", "string"):
        raise Failed(f"len of type {type_name(item)}")
    return 0 if isinstance(item, Null) else len(raw(item)) if isinstance(item, str) else len(item)


def call(function: Any, *_arguments: Any) -> Any:
    """Refuse to call: no document holds a function."""
    function = plain(function)
    if function is None:
        raise Failed("call of nil")
    raise Failed(f"non-function of type {type_name(function)}")


def _escaper(escape: Callable[[str], str]) -> Function:
    return Function(lambda *values: escape(_joined(values)), (ANY,), variadic=True)


def _joined(values: tuple[Any, ...]) -> str:
    if len(values) == 1 and type(values[0]) is str:
        return values[0]
    return sprint([_printable(value) for value in values])


def _printable(value: Any) -> Any:
    value = value.to if isinstance(value, Pointer) else value
    return "<no value>" if value is None else value


def _any(function: Callable[..., Any], count: int, variadic: bool = False) -> Function:
    return Function(function, (VALUE,) * count, variadic)


BUILTINS: dict[str, Function] = {
    "and": Function(call, (VALUE, VALUE), variadic=True, short_circuit=True),
    "or": Function(call, (VALUE, VALUE), variadic=True, short_circuit=True),
    "not": _any(lambda value: not truth(value), 1),
    "call": _any(call, 2, variadic=True),
    "index": _any(index, 2, variadic=True),
    "slice": _any(slice_, 2, variadic=True),
    "len": _any(length, 1),
    "print": Function(lambda *values: sprint(values), (ANY,), variadic=True),
    "printf": Function(sprintf, ("string", ANY), variadic=True),
    "println": Function(lambda *values: sprintln(values), (ANY,), variadic=True),
    "html": _escaper(escapes.html),
    "js": _escaper(escapes.javascript),
    "urlquery": _escaper(escapes.query),
    "eq": _any(comparing.equal, 2, variadic=True),
    "ne": _any(comparing.unequal, 2),
    "lt": _any(comparing.less, 2),
    "le": _any(comparing.at_most, 2),
    "gt": _any(comparing.above, 2),
    "ge": _any(comparing.at_least, 2),
}
