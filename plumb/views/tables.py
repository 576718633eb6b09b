"""Listings: columns for people, one object a line for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from plumb.views.templates import render

Row = Mapping[str, Any]


def listing(rows: Sequence[Row], columns: Mapping[str, str], template: str = "") -> str:
    r"""Rows as Docker prints them.

    Args:
        columns: heading by field, for the table.
        template: "" or "table" for the table, "json" for one object a line, "table {{.A}}\t{{.B}}"
            for a table of those fields, or a template for each line.

    Raises:
        Invalid: the template cannot be parsed, or names an unknown field.
    """
    if template == "json":
        return "".join(json.dumps(row) + "\n" for row in rows)
    if template in ("", "table"):
        return table(
            [list(columns.values()), *([str(row[field]) for field in columns] for row in rows)]
        )
    if template.startswith("table "):
        template = template.removeprefix("table ")
        heading = render(
            template, {**{field: field.upper() for row in rows[:1] for field in row}, **columns}
        )
        return table(
            [line.split("\t") for line in (heading, *(render(template, row) for row in rows))]
        )
    return "".join(render(template, row) + "\n" for row in rows)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Words in columns, three blanks apart."""
    widths = [
        max((len(line[i]) for line in lines if i < len(line)), default=0)
        for i in range(max(map(len, lines), default=0))
    ]
    return "".join(
        "   ".join(word.ljust(width) for word, width in zip(line, widths, strict=False)).rstrip()
        + "\n"
        for line in lines
    )
