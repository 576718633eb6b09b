"""Go templates, as far as `--format` needs them.

{{.Name}}, {{json .X}}, {{range .X}}…{{end}}, {{index .X "k"}}, {{len .X}}.

A template with anything else is refused, and nothing is printed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from plumb.errors import Invalid

TOKEN = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')


def render(template: str, value: Any) -> str:
    r"""A value by a template; \t and \n in it are a tab and a line's end, as Docker takes them.

    Raises:
        Invalid: the template cannot be parsed, or names an unknown field.
    """
    parts = TOKEN.split(template.replace("\\t", "\t").replace("\\n", "\n"))
    if any("{{" in text or "}}" in text for text in parts[::2]):
        raise Invalid(f"template parsing error: unclosed action in {template!r}")
    text, rest = _render(parts, 0, value)
    if rest < len(parts):
        raise Invalid("template parsing error: unexpected {{end}}")
    return text


def _render(parts: list[str], at: int, value: Any) -> tuple[str, int]:
    """Render the parts from a position on, up to the {{end}} of their block.

    Returns:
        The text, and the position behind the {{end}}.
    """
    out = ""
    while at < len(parts):
        if at % 2 == 0:
            out += parts[at]
            at += 1
            continue
        action = parts[at]
        at += 1
        if action == "end":
            return out, at
        if action.startswith(("range ", "if ", "with ")):
            word, _, expression = action.partition(" ")
            found = evaluate(expression, value)
            scopes = (
                _items(found)
                if word == "range"
                else [found if word == "with" else value]
                if found
                else []
            )
            end = _skip(parts, at)
            out += "".join(_render(parts[:end], at, scope)[0] for scope in scopes)
            at = end
            continue
        out += _text(evaluate(action, value))
    return out, at


def _skip(parts: list[str], at: int) -> int:
    """Position behind the {{end}} of a block."""
    depth = 1
    for i in range(at + (at % 2 == 0), len(parts), 2):
        depth += parts[i].startswith(("range ", "if ", "with ")) - (parts[i] == "end")
        if depth == 0:
            return i + 1
    raise Invalid("template parsing error: {{end}} is missing")


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def evaluate(expression: str, value: Any) -> Any:
    """Evaluate an expression: a field's path, or a function with arguments."""
    words = WORD.findall(expression)
    if not words:
        raise Invalid("template parsing error: missing value for command")
    if words[0].startswith("."):
        return field(words[0], value)
    try:
        return _call(words[0], [_argument(word, value) for word in words[1:]])
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise Invalid(f"template parsing error: {expression!r}: {error}") from None


def _call(function: str, arguments: list[Any]) -> Any:
    """Call one of the template functions."""
    match function, arguments:
        case "json", [one]:
            return json.dumps(one)
        case "len", [one]:
            return len(one)
        case "index", [one, *keys]:
            return reduce(_item, keys, one)
        case "join", [list() as items, str() as between]:
            return between.join(map(str, items))
        case "println", items:
            return " ".join(map(_text, items)) + "\n"
    raise Invalid(
        f"template parsing error: function {function!r} not defined",
        "there are json, len, index, join, println, and blocks of range, if and with",
    )


def _item(value: Any, key: Any) -> Any:
    return value.get(key, "") if isinstance(value, Mapping) else value[int(key)]


def _argument(word: str, value: Any) -> Any:
    if word.startswith("."):
        return field(word, value)
    if word.startswith('"'):
        return json.loads(word)
    return word


def field(path: str, value: Any) -> Any:
    """Value at a path like .NetworkSettings.Networks.

    Raises:
        Invalid: there is no such field.
    """
    for name in path.split(".")[1:]:
        if not name:
            continue
        if not isinstance(value, Mapping) or name not in value:
            raise Invalid(f"template parsing error: there is no field {path}")
        value = value[name]
    return value


def _text(value: Any) -> str:
    """Format a value roughly as Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return (
            "map[" + " ".join(f"{key}:{_text(item)}" for key, item in sorted(value.items())) + "]"
        )
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)
