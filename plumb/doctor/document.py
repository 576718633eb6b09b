"""A snapshot as JSON, and back.

A snapshot may come from somebody else, whom plumb does not trust: a file has a largest size, each
value is of its field's type, and no text has control characters, which a terminal would obey.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from plumb.errors import Invalid
from plumb.foreign.fields import printable
from plumb.model.diagnosis.snapshot import FORMAT, Snapshot
from plumb.store import codec

T = TypeVar("T")
LONGEST = 64 << 20
"""Bytes of a snapshot at most; one of a host of 200 containers has 2 MB."""
LONGEST_TEXT = 1 << 16
KEPT = "\n\t"
"""Control characters that the text of a file has."""
NONSENSE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)
"""Errors by which a value shows itself to be none that a host has."""
FILES = ("resolv", "hosts")
"""Fields with the text of a file."""


def written(snapshot: Snapshot) -> str:
    """Write a snapshot as JSON text."""
    return codec.dumps(snapshot) + "\n"


def read(data: bytes, name: str) -> Snapshot:
    """Read a snapshot.

    Args:
        data: JSON text.
        name: the file's name, for errors.

    Raises:
        Invalid: it is no snapshot, or one of another version.
    """
    if len(data) > LONGEST:
        raise Invalid(f"{name} is larger than {LONGEST >> 20} MiB, which no snapshot is")
    with doubted(name):
        document = json.loads(data)
        if not isinstance(document, dict) or document.get("format", FORMAT) != FORMAT:
            raise Invalid(
                f"{name} is no snapshot of version {FORMAT}",
                "'plumb doctor --save FILE' of the same version of plumb writes one",
            )
        return checked(Snapshot, document)


def checked(kind: type[T], document: Any) -> T:
    """Make a value of what a file had as JSON, that of somebody else's.

    Raises:
        TypeError, ValueError, LookupError: it is none; see `doubted`.
    """
    found = codec.decode(kind, _clean(document))
    _check(found, kind)
    return found


@contextmanager
def doubted(name: str) -> Iterator[None]:
    """Refuse a snapshot of somebody else's that plumb cannot make sense of.

    Args:
        name: the file's name, for errors.

    Raises:
        Invalid: what was done with it came upon values that no host has.
    """
    try:
        yield
    except NONSENSE as error:
        raise Invalid(
            f"{name} is no snapshot: {type(error).__name__} {printable(str(error), 80)}".strip(),
            "'plumb doctor --save FILE' writes one",
        ) from error


def _clean(value: Any, kept: str = "") -> Any:
    """Replace control characters in all texts, and cut them off.

    Args:
        value: a part of the document.
        kept: control characters that stay.
    """
    if isinstance(value, str):
        text = value[:LONGEST_TEXT]
        return "".join(one if one.isprintable() or one in kept else "\ufffd" for one in text)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _clean(each, KEPT if key in FILES else "") for key, each in value.items()}
    return value


def _check(value: Any, hint: Any) -> None:
    """Check that a value is of a type, with all that is in it.

    Raises:
        TypeError: it is not.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if not isinstance(value, arguments):
            raise TypeError(f"{value!r} is none of {hint}")
        hint = type(value)
    elif origin is tuple:
        several = len(arguments) == 2 and arguments[1] is Ellipsis
        for each, one in zip(
            value, [arguments[0]] * len(value) if several else arguments, strict=True
        ):
            _check(each, one)
        return
    elif type(value) is not hint:
        raise TypeError(f"{value!r} is no {hint}")
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        for field in dataclasses.fields(hint):
            _check(getattr(value, field.name), hints[field.name])
    elif hasattr(hint, "_fields"):
        hints = typing.get_type_hints(hint)
        for name in hint._fields:
            _check(getattr(value, name), hints[name])
