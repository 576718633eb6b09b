"""Evaluation of pipelines: fields, functions and their arguments, with Go's rules and errors.

What a function gets is in functions: its parameters' types decide how an argument is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plumb.views.template import nodes as node_kinds
from plumb.views.template.functions import VALUE, Function
from plumb.views.template.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Pipe,
    String,
    Variable,
)
from plumb.views.template.text.quoting import quote, raw
from plumb.views.template.values import (
    ANY,
    Failed,
    Interface,
    Map,
    Null,
    Struct,
    element,
    indirect,
    kind,
    plain,
    truth,
    type_name,
    zero,
)


class Stopped(Exception):
    """A template that failed; the message is Go's."""


class Nothing:
    """No argument came through the pipe."""


NOTHING = Nothing()
NILABLE = ("[]", "map[", "*", "interface", VALUE)


class Evaluator:
    """Variables of one template that is being executed, and the node it is at."""

    def __init__(
        self,
        text: str,
        functions: Mapping[str, Function],
        strict: bool,
        name: str,
        data: Any,
        node: Node,
    ) -> None:
        self.text = text
        self.functions = functions
        self.strict = strict
        self.name = name
        self.variables: list[tuple[str, Any]] = [("$", data)]
        self.node = node

    def stopped(self, message: str) -> Stopped:
        before = self.text[: self.node.at]
        line, column = 1 + before.count("\n"), len(raw(before.rpartition("\n")[2]))
        return Stopped(
            f"template: :{line}:{column}: executing {quote(self.name)} at <{self.node}>: {message}"
        )

    # -- pipelines and commands ------------------------------------------------

    def pipeline(self, dot: Any, pipe: Pipe) -> Any:
        self.node = pipe
        value: Any = NOTHING
        for command in pipe.commands:
            value = plain(self.command(dot, command, value))
        for variable in pipe.variables:
            if pipe.assigns:
                self.assign(variable.names[0], value)
            else:
                self.variables.append((variable.names[0], value))
        return value

    def assign(self, name: str, value: Any) -> None:
        for at in range(len(self.variables) - 1, -1, -1):
            if self.variables[at][0] == name:
                self.variables[at] = (name, value)
                return
        raise self.stopped(f"undefined variable: {name}")

    def variable(self, name: str) -> Any:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.stopped(f"undefined variable: {name}")

    def command(self, dot: Any, command: Command, final: Any) -> Any:
        first = command.args[0]
        match first:
            case Field() | Chain() | Identifier() | Variable():
                return self.called(dot, first, command.args, final, command)
            case Pipe():
                self.no_arguments(command.args, final)
                return self.pipeline(dot, first)
        self.node = first
        self.no_arguments(command.args, final)
        if isinstance(first, Nil):
            raise self.stopped("nil is not a command")
        return dot if isinstance(first, Dot) else self.constant(first)

    def no_arguments(self, args: Sequence[Node], final: Any) -> None:
        if len(args) > 1 or final is not NOTHING:
            raise self.stopped(f"can't give argument to non-function {args[0]}")

    def called(
        self, dot: Any, node: Node, args: Sequence[Node], final: Any, at: Node | None = None
    ) -> Any:
        """A field, a variable or a function, with arguments if it takes any."""
        self.node = node
        match node:
            case Field():
                return self.fields(dot, dot, node, node.names, args, final)
            case Variable():
                value = self.variable(node.names[0])
                if len(node.names) == 1:
                    self.no_arguments(args or (node,), final)
                    return value
                return self.fields(dot, value, node, node.names[1:], args, final)
            case Chain():
                if isinstance(node.node, Nil):
                    raise self.stopped(f"indirection through explicit nil in {node}")
                value = self.argument(dot, None, node.node)
                return self.fields(dot, value, node, node.names, args, final)
            case Identifier():
                function = self.functions[node.name]
                return self.result(dot, function, at or node, node.name, args, final)
        raise AssertionError(node)

    def constant(self, node: Node) -> Any:
        """Value of a constant, with the type that Go gives it where none is asked for."""
        self.node = node
        if isinstance(node, Bool | String):
            return node.value
        assert isinstance(node, node_kinds.Number)
        if node.complex_ is not None:
            return node.complex_
        by_text = node.text[0] != "'" and not (
            node.text[:2].lower() == "0x" and not set(node.text) & set("pP")
        )
        if node.float_ is not None and by_text and set(node.text) & set(".eEpP"):
            return node.float_
        if node.int_ is None:
            raise self.stopped(f"{node.text} overflows int")
        return node.int_

    # -- fields ----------------------------------------------------------------

    def fields(
        self,
        dot: Any,
        receiver: Any,
        node: Node,
        names: Sequence[str],
        args: Sequence[Node],
        final: Any,
    ) -> Any:
        for name in names[:-1]:
            receiver = self.field(dot, name, node, (), NOTHING, receiver)
        return self.field(dot, names[-1], node, args, final, receiver)

    def field(
        self, dot: Any, name: str, node: Node, args: Sequence[Node], final: Any, receiver: Any
    ) -> Any:
        """A field of a struct, a key of a map, or a method's result."""
        if receiver is None:
            if self.strict:
                raise self.stopped(f"nil data; no entry for key {quote(name)}")
            return None
        of = type_name(receiver)
        value, is_nil = indirect(receiver)
        if is_nil:
            raise self.stopped(f"nil pointer evaluating {of}.{name}")
        method: Callable[[str], Function | None] | None = getattr(value, "method", None)
        if method is not None and (function := method(name)):
            return self.result(dot, function, node, name, args, final)
        given = len(args) > 1 or final is not NOTHING
        match value:
            case Struct() if name in value or name in value.omitted:
                if given:
                    raise self.stopped(f"{name} has arguments but cannot be invoked as function")
                return value[name] if name in value else value.omitted[name]
            case Map(key="string") | Null() if kind(value) == "map":
                if given:
                    raise self.stopped(f"{name} is not a method but has arguments")
                return self.entry(value, name)
        raise self.stopped(f"can't evaluate field {name} in type {of}")

    def entry(self, value: Map | Null, name: str) -> Any:
        if isinstance(value, Map) and name in value:
            return element(value[name], value.of)
        if self.strict:
            raise self.stopped(f"map has no entry for key {quote(name)}")
        return None

    # -- calls -----------------------------------------------------------------

    def result(
        self, dot: Any, function: Function, node: Node, name: str, args: Sequence[Node], final: Any
    ) -> Any:
        args = args[1:]
        piped = final is not NOTHING
        self.count(function, name, len(args), len(args) + piped)
        if name in ("and", "or") and function.short_circuit:
            return self.short_circuit(dot, name == "or", args, final)
        values = [self.argument(dot, function.parameter(at), each) for at, each in enumerate(args)]
        if piped:
            values.append(self.validated(final, function.parameter(len(args))))
        try:
            return function.call(*values)
        except Failed as error:
            self.node = node
            raise self.stopped(f"error calling {name}: {error}") from None

    def count(self, function: Function, name: str, written: int, given: int) -> None:
        wanted = len(function.parameters)
        if function.variadic and given < wanted - 1:
            raise self.stopped(
                f"wrong number of args for {name}: want at least {wanted - 1} got {written}"
            )
        if not function.variadic and given != wanted:
            raise self.stopped(f"wrong number of args for {name}: want {wanted} got {given}")

    def short_circuit(self, dot: Any, until: bool, args: Sequence[Node], final: Any) -> Any:
        """Arguments of and, or: the first that decides, or the last."""
        value: Any = None
        for each in args:
            value = self.argument(dot, VALUE, each)
            if truth(value) == until:
                return value
        return value if final is NOTHING else final

    def argument(self, dot: Any, wanted: str | None, node: Node) -> Any:
        """An argument for a parameter of this type; None takes any."""
        self.node = node
        match node:
            case Dot():
                return self.validated(dot, wanted)
            case Nil():
                if wanted is not None and wanted.startswith(NILABLE):
                    return plain(zero(wanted)) if wanted != VALUE else None
                raise self.stopped(f"cannot assign nil to {wanted}")
            case Pipe():
                return self.validated(self.pipeline(dot, node), wanted)
            case Field() | Variable() | Identifier() | Chain():
                return self.validated(self.called(dot, node, (), NOTHING), wanted)
        return self.typed_constant(wanted, node)

    def typed_constant(self, wanted: str | None, node: Node) -> Any:
        if wanted in (ANY, VALUE):
            return self.constant(node)
        found = {
            "string": node.value if isinstance(node, String) else None,
            "int": node.int_ if isinstance(node, node_kinds.Number) else None,
        }
        if wanted not in found:
            raise self.stopped(f"can't handle {node} for arg of type {wanted}")
        if found[wanted] is None:
            word = "integer" if wanted == "int" else wanted
            raise self.stopped(f"expected {word}; found {node}")
        return found[wanted]

    def validated(self, value: Any, wanted: str | None) -> Any:
        """A value for a parameter of this type.

        Raises:
            Stopped: it has another type.
        """
        if wanted is None or wanted == VALUE:
            return value
        if value is None:
            if not wanted.startswith(NILABLE):
                raise self.stopped(f"invalid value; expected {wanted}")
            return plain(zero(wanted))
        if wanted == ANY:
            return plain(value)
        if isinstance(value, Interface) and value.holds is not None:
            value = value.holds
        if type_name(value) == wanted:
            return value
        raise self.stopped(f"wrong type for value; expected {wanted}; got {type_name(value)}")
