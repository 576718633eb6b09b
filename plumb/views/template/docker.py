"""Docker's functions of templates: json, join, split, lower, upper, title, pad, truncate."""

from __future__ import annotations

from typing import Any

from plumb.views.template.functions import BUILTINS, Function
from plumb.views.template.text.compact_json import encode
from plumb.views.template.text.quoting import cooked, raw
from plumb.views.template.values import ANY, Failed, List, Null


def join(items: Any, between: str) -> str:
    """Strings with a text between them."""
    return "" if isinstance(items, Null) else between.join(items)


def split(text: str, between: str) -> List:
    """Parts of a text; without a separator its characters."""
    return List(text.split(between) if between else list(text), "string")


def title(text: str) -> str:
    """A text whose words begin with a capital."""
    before = ["", *text]
    return "".join(
        letter.upper() if _separates(previous) and len(letter.upper()) == 1 else letter
        for previous, letter in zip(before, text, strict=False)
    )


def _separates(letter: str) -> bool:
    if letter.isascii():
        return not (letter.isalnum() or letter == "_")
    return not (letter.isalpha() or letter.isdigit()) and letter.isspace()


def pad(text: str, before: int, behind: int) -> str:
    """A text with blanks around it; an empty one stays empty.

    Raises:
        Failed: a negative number.
    """
    if text and min(before, behind) < 0:
        raise Failed("strings: negative Repeat count")
    return " " * before + text + " " * behind if text else ""


def truncate(text: str, length: int) -> str:
    """The first bytes of a text.

    Raises:
        Failed: a negative number.
    """
    if length < 0:
        raise Failed(f"runtime error: slice bounds out of range [:{length}]")
    return cooked(raw(text)[:length])


FUNCTIONS: dict[str, Function] = {
    **BUILTINS,
    "json": Function(encode, (ANY,)),
    "join": Function(join, ("[]string", "string")),
    "split": Function(split, ("string", "string")),
    "lower": Function(str.lower, ("string",)),
    "upper": Function(str.upper, ("string",)),
    "title": Function(title, ("string",)),
    "pad": Function(pad, ("string", "int", "int")),
    "truncate": Function(truncate, ("string", "int")),
}

HEADINGS: dict[str, Function] = {
    **FUNCTIONS,
    "json": Function(lambda text: text, ("string",)),
    "join": Function(lambda text, _: text, ("string", "string")),
    "split": Function(lambda text, _: text, ("string", "string")),
    "lower": Function(lambda text: text, ("string",)),
    "upper": Function(lambda text: text, ("string",)),
    "title": Function(lambda text: text, ("string",)),
    "truncate": Function(lambda text, _: text, ("string", "int")),
}
"""For a table's heading: what changes a column's text leaves its name as it is."""
