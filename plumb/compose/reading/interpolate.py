"""Interpolation: $NAME and ${NAME…} in values, by the rules of the Compose Specification.

    $NAME, ${NAME}      its value; of one that is not set nothing, with a warning
    ${NAME:-word}       the word if it is not set or empty; ${NAME-word}: if it is not set
    ${NAME:?word}       the word as an error if it is not set or empty; ${NAME?word}: if not set
    ${NAME:+word}       the word if it is set and not empty; ${NAME+word}: if it is set
    $$                  a dollar sign

A word may hold further ones; only that which counts is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from plumb.compose.reading.document import Node
from plumb.frozen import replace

Unset = Callable[[str], None]
"""Takes the names of variables that are not set."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST = 1 << 20
"""Characters of a value at most: lines A=$A$A double one each time."""
OPERATOR = re.compile(r":?[-?+]")


def tree(node: Node, variables: Mapping[str, str], unset: Unset) -> Node:
    """Interpolate all texts below a node; keys stay as they are.

    Raises:
        Invalid: one is written wrongly, or a variable is demanded that is not set.
    """
    value = node.value
    if isinstance(value, Mapping):
        return replace(
            node, value={key: tree(each, variables, unset) for key, each in value.items()}
        )
    if isinstance(value, tuple):
        return replace(node, value=tuple(tree(each, variables, unset) for each in value))
    if not isinstance(value, str) or "$" not in value:
        return node
    try:
        return replace(node, value=interpolated(value, variables, unset))
    except ValueError as error:
        raise node.refused(str(error)) from None


def interpolated(text: str, variables: Mapping[str, str], unset: Unset = lambda name: None) -> str:
    """Interpolate a text.

    Raises:
        ValueError: it is written wrongly, it becomes too long, or a variable is demanded that is
            not set.
    """
    found, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        found += text[at:dollar]
        value, at = _one(text, dollar + 1, variables, unset)
        found += value
        if len(found) > LONGEST:
            raise ValueError(f"a value is longer than {LONGEST >> 20} MiB")
    return found + text[at:]


def _one(text: str, at: int, variables: Mapping[str, str], unset: Unset) -> tuple[str, int]:
    """Return what stands for the words behind a dollar sign, and where they end."""
    if text[at : at + 1] == "$":
        return "$", at + 1
    if name := NAME.match(text, at):
        return _value(name[0], variables, unset), name.end()
    end = _closing(text, at) if text[at : at + 1] == "{" else -1
    name = NAME.match(text, at + 1) if end > 0 else None
    if name is None:
        raise ValueError(f'invalid interpolation format: "{text}"; a dollar sign itself is "$$"')
    rest = text[name.end() : end]
    if not rest:
        return _value(name[0], variables, unset), end + 1
    operator = OPERATOR.match(rest)
    if operator is None:
        raise ValueError(f'invalid interpolation format: "{text}"; "{rest}" is no operator')
    word = rest[operator.end() :]
    return _operated(name[0], operator[0], word, variables, unset), end + 1


def _closing(text: str, opening: int) -> int:
    """Return the place of the brace that closes one; -1 without one."""
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{" and (at == opening or text[at - 1] == "$"):
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return -1


def _value(name: str, variables: Mapping[str, str], unset: Unset) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _operated(
    name: str, operator: str, word: str, variables: Mapping[str, str], unset: Unset
) -> str:
    value = variables.get(name)
    is_set = value is not None and (value != "" or operator[0] != ":")
    match operator[-1]:
        case "+":
            return interpolated(word, variables, unset) if is_set else ""
        case "?" if not is_set:
            reason = interpolated(word, variables, unset)
            raise ValueError(f"required variable {name} is missing a value: {reason}".rstrip(": "))
        case "-" if not is_set:
            return interpolated(word, variables, unset)
        case _:
            return value or ""
