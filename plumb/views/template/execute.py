"""Execution of a parsed template: text, branches, loops and the templates that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plumb.views.template.evaluate import Evaluator, Stopped
from plumb.views.template.functions import Function
from plumb.views.template.nodes import Action, Body, Branch, Call, Jump, Node, Pipe, Text
from plumb.views.template.parser import Template
from plumb.views.template.text.printing import sprint
from plumb.views.template.text.quoting import quote, raw
from plumb.views.template.values import (
    Interface,
    List,
    Map,
    Null,
    Pointer,
    element,
    indirect,
    kind,
    plain,
    truth,
)

DEPTH = 100
"""Templates that may call each other. Go allows 100000; Python's stack is not so deep."""


class _Jump(Exception):
    """A break or a continue on its way to its loop."""


def execute(
    template: Template, functions: Mapping[str, Function], data: Any, strict: bool = False
) -> str:
    """Execute a template on data.

    Args:
        data: values of Go's types, or an object with methods.
        strict: a key that a map lacks is an error, not "<no value>".

    Raises:
        Stopped: it failed.
    """
    out: list[str] = []
    try:
        _Walk(template, functions, out, strict, "", data).walk(data, template.bodies[""])
    except RecursionError:
        raise Stopped('template: : executing "": the template is nested too deep') from None
    return "".join(out)


class _Walk(Evaluator):
    """A way through one template; what it prints goes to `out`."""

    def __init__(
        self, template: Template, functions: Mapping[str, Function], out: list[str], strict: bool,
        name: str, data: Any, depth: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(template.text, functions, strict, name, data, template.bodies[name])
        self.template = template
        self.out = out
        self.depth = depth

    # -- nodes -----------------------------------------------------------------

    def walk(self, dot: Any, node: Node) -> None:
        self.node = node
        match node:
            case Text():
                self.out.append(node.text)
            case Body():
                for each in node.nodes:
                    self.walk(dot, each)
            case Action():
                value = self.pipeline(dot, node.pipe)
                if not node.pipe.variables:
                    self.node = node
                    self.out.append(self.printed(value))
            case Branch(word="range"):
                self.loop(dot, node)
            case Branch():
                self.branch(dot, node)
            case Call():
                self.call(dot, node)
            case Jump():
                raise _Jump(node.word)

    def printed(self, value: Any) -> str:
        value = indirect(value)[0] if isinstance(value, Pointer) else value
        return "<no value>" if value is None else sprint([plain(value)])

    def branch(self, dot: Any, node: Branch) -> None:
        outside = len(self.variables)
        value = self.pipeline(dot, node.pipe)
        if truth(value):
            self.walk(value if node.word == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk(dot, node.otherwise)
        del self.variables[outside:]

    def loop(self, dot: Any, node: Branch) -> None:
        outside = len(self.variables)
        value, _ = indirect(self.pipeline(dot, node.pipe))
        inside = len(self.variables)
        empty = True
        for index, item in self.items(value):
            empty = False
            self.set_loop_variables(node.pipe, inside, index, item)
            try:
                self.walk(item, node.body)
            except _Jump as jump:
                if str(jump) == "break":
                    break
            finally:
                del self.variables[inside:]
        if empty and node.otherwise is not None:
            self.walk(dot, node.otherwise)
        del self.variables[outside:]

    def set_loop_variables(self, pipe: Pipe, top: int, index: Any, item: Any) -> None:
        """Give a loop's variables their values: the last one the item, one before it the index."""
        if pipe.assigns:
            values = [item] if len(pipe.variables) == 1 else [index, item]
            for variable, value in zip(pipe.variables, values, strict=False):
                self.assign(variable.names[0], value)
            return
        for back, value in zip((1, 2), (item, index), strict=True):
            if len(pipe.variables) >= back:
                self.variables[top - back] = (self.variables[top - back][0], value)

    def items(self, value: Any) -> Iterator[tuple[Any, Any]]:
        """Yield elements of a value that a range goes over, with their indices or keys.

        Raises:
            Stopped: nothing that can be gone over.
        """
        match value:
            case List():
                yield from ((at, element(item, value.of)) for at, item in enumerate(value))
            case Map():
                yield from ((key, element(value[key], value.of)) for key in sorted(value, key=raw))
            case int() if not isinstance(value, bool):
                yield from ((at, at) for at in range(value))
            case None | Null() | Interface(holds=None):
                if kind(value) == "ptr":
                    raise self.stopped(f"range can't iterate over {sprint([value])}")
            case _:
                raise self.stopped(f"range can't iterate over {sprint([plain(value)])}")

    def call(self, dot: Any, node: Call) -> None:
        body = self.template.bodies.get(node.name)
        if body is None:
            raise self.stopped(f"template {quote(node.name)} not defined")
        if self.depth == DEPTH:
            raise self.stopped(f"exceeded maximum template depth ({DEPTH})")
        data = self.pipeline(dot, node.pipe) if node.pipe is not None else None
        inner = _Walk(
            self.template, self.functions, self.out, self.strict, node.name, data, self.depth + 1
        )
        inner.walk(data, body)
