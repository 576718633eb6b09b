"""Fields of compose files: a table of keys says how each is read, and why others have no effect.

An error has file and line.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from plumb.compose.reading.document import Node
from plumb.errors import Invalid
from plumb.model import parse
from plumb.model.cnm import Pairs
from plumb.model.lifecycle.durations import duration

T = TypeVar("T")
Reader = Callable[[Node], Any]
Remarks = list[str]


def read(
    node: Node, readers: Mapping[str, Reader], without: Mapping[str, str], remarks: Remarks
) -> dict[str, Any]:
    """Read the keys of a mapping.

    Args:
        readers: a reader for each key that has an effect; null stands for the default.
        without: reasons for which other keys have none.
        remarks: takes a line for each of those.

    Raises:
        Invalid: a key is unknown, or a value makes no sense.
    """
    found: dict[str, Any] = {}
    for key, each in node.mapping.items():
        if key in readers:
            if each.value is not None:
                found[key] = readers[key](each)
        elif key in without:
            remarks.append(f"{each.place}: {key}: {without[key]}")
        elif not key.startswith("x-"):
            raise each.refused(f"{key} is no key here", parse.nearest(key, [*readers, *without]))
    return found


def placed(node: Node, parser: Callable[[str], T], text: str = "") -> T:
    """Parse a value's text by a parser of options.

    Args:
        text: another text than the whole value.

    Raises:
        Invalid: it cannot be parsed; the message has its place.
    """
    try:
        return parser(text or node.text)
    except Invalid as error:
        raise node.refused(str(error), error.hint) from None
    except ValueError as error:
        raise node.refused(f"invalid value {node.text!r}: {error}") from None


def parsed(parser: Callable[[str], Any]) -> Reader:
    """Make a reader of a parser of options."""
    return lambda node: placed(node, parser)


def text(node: Node) -> str:
    """Text, or another scalar as text."""
    return node.text


def flag(node: Node) -> bool:
    """A truth value, or its text, as from a variable."""
    return node.value if isinstance(node.value, bool) else placed(node, parse.boolean)


def number(node: Node) -> int:
    """A whole number, or its text."""
    return placed(node, parse.whole)


def seconds(node: Node) -> float:
    """A duration in seconds, as 1m30s."""
    return placed(node, lambda given: duration(given, "duration"))


def texts(node: Node) -> tuple[str, ...]:
    """A text or a list of texts, each once."""
    return tuple(dict.fromkeys(each.text for each in nodes(node)))


def nodes(node: Node) -> tuple[Node, ...]:
    """The items of a list, or a scalar as the only one."""
    return node.items if isinstance(node.value, tuple) else (node,)


def each_parsed(parser: Callable[[str], Any]) -> Reader:
    """Make a reader of a text or several, each parsed."""
    return lambda node: tuple(dict.fromkeys(placed(each, parser) for each in nodes(node)))


def words(node: Node) -> tuple[str, ...]:
    """A command: a list of words, or a line that is parted as a shell would."""
    if isinstance(node.value, tuple):
        return tuple(each.text for each in node.items)
    return tuple(placed(node, shlex.split))


def pairs(node: Node) -> Pairs:
    """A mapping of texts, or a list of NAME=value."""
    return tuple((name, value or "") for name, value in optional_pairs(node))


def optional_pairs(node: Node) -> tuple[tuple[str, str | None], ...]:
    """A mapping of texts, or a list of NAME=value; None for a name without a value."""
    if isinstance(node.value, tuple):
        found = [each.text.partition("=") for each in node.items]
        return tuple({name: value if eq else None for name, eq, value in found}.items())
    return tuple(
        (name, None if each.value is None else each.text) for name, each in node.mapping.items()
    )
