"""Nodes: a parsed template as frozen values; each prints as Go prints it in errors.

Positions count characters from the template's begin. An action is a pipeline of commands, a command
an operand that is called with the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from plumb.frozen import frozen
from plumb.views.template.text.quoting import quote


@frozen
class Node:
    """Anything with a position."""

    at: int


@frozen
class Text(Node):
    """Literal text."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen
class Dot(Node):
    """The dot."""

    def __str__(self) -> str:
        return "."


@frozen
class Nil(Node):
    """The word nil."""

    def __str__(self) -> str:
        return "nil"


@frozen
class Bool(Node):
    """The word true or false."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@frozen
class Number(Node):
    """A number: each type that can hold it has its value."""

    text: str
    int_: int | None = None
    uint: int | None = None
    float_: float | None = None
    complex_: complex | None = None

    def __str__(self) -> str:
        return self.text


@frozen
class String(Node):
    """A string: in its quotes, and what they mean."""

    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@frozen
class Identifier(Node):
    """A function's name."""

    name: str

    def __str__(self) -> str:
        return self.name


@frozen
class Field(Node):
    """Fields of the dot, one after the other."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@frozen
class Variable(Node):
    """A variable with its $, and fields of it."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@frozen
class Chain(Node):
    """Fields of a term that is neither a field nor a variable: (index . 0).Name."""

    node: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        return operand(self.node) + "".join(f".{name}" for name in self.names)


@frozen
class Command(Node):
    """An operand, and those that it is called with."""

    args: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(map(operand, self.args))


@frozen
class Pipe(Node):
    """Commands, each the last argument of the next, and variables that get the result."""

    variables: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        names = ", ".join(map(str, self.variables))
        sign = (" = " if self.assigns else " := ") if names else ""
        return names + sign + " | ".join(map(str, self.commands))


def operand(node: Node) -> str:
    """Text of an operand: a pipeline stands in parentheses."""
    return f"({node})" if isinstance(node, Pipe) else str(node)


@frozen
class Body(Node):
    """Nodes that follow each other."""

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


@frozen
class Action(Node):
    """A pipeline whose result is printed, unless a variable gets it."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@frozen
class Branch(Node):
    """An if, with or range, by its word."""

    word: str
    pipe: Pipe
    body: Body
    otherwise: Body | None

    def __str__(self) -> str:
        rest = "" if self.otherwise is None else f"{{{{else}}}}{self.otherwise}"
        return f"{{{{{self.word} {self.pipe}}}}}{self.body}{rest}{{{{end}}}}"


@frozen
class Jump(Node):
    """The word break or continue; while parsing also else and end."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


@frozen
class Call(Node):
    """Another template, with the data it gets."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        data = "" if self.pipe is None else f" {self.pipe}"
        return f"{{{{template {quote(self.name)}{data}}}}}"


def is_empty(body: Sequence[Node]) -> bool:
    """True if there is nothing but blanks, so that another definition may take its place."""
    return all(isinstance(node, Text) and not node.text.strip() for node in body)
