"""YAML files as trees, each part of which has its place: for messages with file and line.

PyYAML reads them. Scalars are those of YAML 1.2, as with Docker: `yes` is text, and so is `22:22`,
which YAML 1.1 would read as a number to the base of 60. Anchors and merge keys (`<<`) are resolved
here; a key that stands twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from plumb.errors import Invalid
from plumb.frozen import frozen, replace

Scalar = str | int | float | bool | None
MOST = 100_000
"""Values of a file at most, those that an alias names counted wherever it stands."""
LONGEST_NUMBER = 300
"""Characters of a number at most."""
RESET, OVERRIDE = "!reset", "!override"
"""Tags by which a later file takes a value away, or sets it without merging."""


@frozen
class Place:
    """Line of a file.

    Attributes:
        file: its path, as it was given.
        line: from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class Node:
    """Value of a document: a mapping, a sequence or a scalar.

    Attributes:
        place: the line of the value, or of its key.
        tag: RESET, OVERRIDE or empty.
    """

    place: Place
    value: Mapping[str, Node] | tuple[Node, ...] | Scalar
    tag: str = ""

    @property
    def mapping(self) -> Mapping[str, Node]:
        """Values of a mapping by key; of null none.

        Raises:
            Invalid: it is no mapping.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.refused("a mapping is expected")
        return self.value

    @property
    def items(self) -> tuple[Node, ...]:
        """Values of a sequence; of null none.

        Raises:
            Invalid: it is no sequence.
        """
        if self.value is None:
            return ()
        if not isinstance(self.value, tuple):
            raise self.refused("a list is expected")
        return self.value

    @property
    def text(self) -> str:
        """A scalar as text, as Go prints it.

        Raises:
            Invalid: it is a mapping or a sequence.
        """
        if isinstance(self.value, Mapping | tuple):
            raise self.refused("text is expected")
        if isinstance(self.value, bool):
            return str(self.value).lower()
        if isinstance(self.value, float):
            return repr(self.value).removesuffix(".0")
        return "" if self.value is None else str(self.value)

    def refused(self, reason: str, hint: str = "") -> Invalid:
        """Make the error for this value."""
        return Invalid(f"{self.place}: {reason}", hint)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's where it is built in
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own form


PREFIX = "tag:yaml.org,2002:"
RESOLVERS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("merge", "<<", "<"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[1-9][0-9]*[eE][-+]?[0-9]+",
        "-+.0123456789",
    ),
)
"""Scalars that are not text: kind, pattern, and the characters that one begins with."""
for _tag, _pattern, _first in RESOLVERS:
    _Loader.add_implicit_resolver(PREFIX + _tag, re.compile(f"^(?:{_pattern})$"), list(_first))


def read(text: str, file: str) -> list[Node]:
    """Parse a file; return its documents.

    Args:
        file: its path, for messages.

    Raises:
        Invalid: it is no YAML, a key stands twice, an alias contains itself, or with its aliases
            spelt out it has too many values.
    """
    try:
        roots = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 1
        raise Invalid(f"{file}:{line}: {error.problem}", "it is no YAML") from None
    except yaml.YAMLError as error:
        raise Invalid(f"{file}: {error}", "it is no YAML") from None
    tree = _Tree(file)
    return [tree.node(root) for root in roots if root is not None]


class _Tree:
    """Conversion of a file; a value that an alias names twice is converted once.

    What reads the tree later goes through it once for each alias. Ten lines of ten aliases are ten
    thousand million values, so they are counted here.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._known: dict[int, tuple[Node, int]] = {}
        self._open: set[int] = set()
        self._count = 0

    def node(self, node: yaml.Node) -> Node:
        """Convert PyYAML's node."""
        place = Place(self._file, node.start_mark.line + 1)
        if id(node) in self._known:
            made, count = self._known[id(node)]
            self._add(count, place)
            return made
        if id(node) in self._open:
            raise Invalid(f"{place}: an alias contains itself")
        self._open.add(id(node))
        if not node.tag.startswith(PREFIX) and node.tag not in (RESET, OVERRIDE):
            raise Invalid(f"{place}: unknown tag {node.tag}", f"there are {RESET} and {OVERRIDE}")
        tag = node.tag if node.tag in (RESET, OVERRIDE) else ""
        before = self._count
        self._add(1, place)
        made = Node(place, self._value(node, place), tag)
        self._known[id(node)] = made, self._count - before
        return made

    def _add(self, count: int, place: Place) -> None:
        self._count += count
        if self._count > MOST:
            raise Invalid(f"{place}: the file has more than {MOST} values, aliases spelt out")

    def _value(
        self, node: yaml.Node, place: Place
    ) -> Mapping[str, Node] | tuple[Node, ...] | Scalar:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.node(item) for item in node.value)
        try:
            return _scalar(node.tag.removeprefix(PREFIX), node.value)
        except ValueError:
            raise Invalid(f"{place}: {node.value[:20]!r} is no number that can be read") from None

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            place = Place(self._file, key.start_mark.line + 1)
            if key.tag == PREFIX + "merge":
                for each in self._sources(self.node(value)):
                    merged = {**each, **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise Invalid(f"{place}: a key is text")
            if key.value in own:
                raise Invalid(f"{place}: the key {key.value} stands twice")
            own[key.value] = replace(self.node(value), place=place)
        return {**merged, **own}

    def _sources(self, node: Node) -> Iterator[Mapping[str, Node]]:
        """Yield the mappings of a merge key: one, or those of a list."""
        for each in node.value if isinstance(node.value, tuple) else (node,):
            yield each.mapping


def _scalar(kind: str, text: str) -> Scalar:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float" if len(text) > LONGEST_NUMBER:
            raise ValueError
        case "int":
            return int(text.replace("_", ""), 0)
        case "float":
            return float(text)
        case _:
            return text
