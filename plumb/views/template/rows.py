"""Rows: the lines of a listing, whose columns Docker's templates see as methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plumb.views.template.functions import Function
from plumb.views.template.text.compact_json import encode
from plumb.views.template.values import Map, generic

HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


class Row:
    """A line: its columns, its labels for .Label, and the name of its type for errors."""

    def __init__(
        self, columns: Mapping[str, Any], labels: Mapping[str, str], type_name: str
    ) -> None:
        self.columns = columns
        self.labels = labels
        self.type_name = type_name

    def method(self, name: str) -> Function | None:
        """A column, or Label; None for a name that a line does not have."""
        if name in self.columns:
            return Function(lambda: _value(self.columns[name]), ())
        if name == "Label":
            return Function(lambda key: self.labels.get(key, ""), ("string",))
        return None

    def document(self) -> str:
        """The columns as JSON, which a template prints as it is.

        Docker makes it by an encoder that escapes <, > and &.
        """
        text = encode(Map({name: _value(value) for name, value in self.columns.items()}))
        return "".join(HTML.get(letter, letter) for letter in text)


def _value(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else generic(value)


class Heading(Map):
    """Headings of a table by column; .Label "a.b-c" is headed "b c"."""

    def method(self, name: str) -> Function | None:
        """The heading of a label's column; None for any other name."""
        return Function(_label_heading, ("string",)) if name == "Label" else None


def _label_heading(label: str) -> str:
    return label.rpartition(".")[2].replace("-", " ").replace("_", " ")
