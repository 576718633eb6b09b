"""Listings: columns for people, one object a line for programs, or a template for each line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plumb.views.template import Format
    from plumb.views.template.rows import Row

NARROWEST = 10
GAP = 3
CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Line(dict[str, Any]):
    """A line of a listing: its columns, and what templates see besides."""

    def __init__(
        self,
        columns: Mapping[str, Any],
        labels: Mapping[str, str] | None = None,
        type_name: str = "*formatter.SubContext",
    ) -> None:
        """Make a line.

        Args:
            labels: what .Label "key" finds.
            type_name: Docker's type of such a line, for errors.
        """
        super().__init__(columns)
        self.labels = labels or {}
        self.type_name = type_name


def joined(labels: Iterable[tuple[str, str]]) -> str:
    """The column of labels: sorted, commas between them."""
    return ",".join(sorted(f"{key}={value}" for key, value in labels))


def listing(
    rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], template: str = "",
    shown: Sequence[str] = (),
) -> str:  # fmt: skip
    r"""Rows as Docker prints them.

    Args:
        headings: heading by column.
        template: "" or "table" for the table, "json" for one object a line, "table {{.A}}\t{{.B}}"
            for a table of those columns, or a template for each line.
        shown: columns of the table without a template; all that have a heading by default.

    Raises:
        Invalid: the template cannot be parsed, or names an unknown field.
    """
    if template in ("", "table"):
        columns = shown or tuple(headings)
        words = ([str(row.get(column, "")) for column in columns] for row in rows)
        return table([[headings[column] for column in columns], *words])
    if template == "json":
        return "".join(_row(row).document() + "\n" for row in rows)
    is_table = template.startswith("table")
    form = _format(template.removeprefix("table") if is_table else template)
    lines = "".join(_filled(form, row) + "\n" for row in rows)
    if not is_table:
        return lines
    known = {**{field: _heading(field) for row in rows[:1] for field in row}, **headings}
    text = form.heading(known) + "\n" + lines
    return table([line.split("\t") for line in text.removesuffix("\n").split("\n")])


def _heading(column: str) -> str:
    """Heading of a column: CREATED AT of CreatedAt."""
    return CAPITAL.sub(" ", column).upper()


def _row(row: Mapping[str, Any]) -> Row:
    from plumb.views.template.rows import Row  # lazy: most listings are without a template

    line = row if isinstance(row, Line) else Line(row)
    return Row(line, line.labels, line.type_name)


def _format(template: str) -> Format:
    from plumb.errors import Invalid
    from plumb.views.template import Format, Refused

    try:
        return Format(template.strip(" ").replace("\\t", "\t").replace("\\n", "\n"))
    except Refused as error:
        raise Invalid(f"failed to parse template: {error}") from None


def _filled(form: Format, row: Mapping[str, Any]) -> str:
    from plumb.errors import Invalid
    from plumb.views.template import Stopped

    try:
        return form.text(_row(row))
    except Stopped as error:
        raise Invalid(f"failed to execute template: {error}") from None


def table(lines: Sequence[Sequence[str]]) -> str:
    """Words in columns, as Go's tabwriter puts them: ten wide at least, with a gap of three.

    The last word of a line is in no column. A column ends at a line that does not reach it.
    """
    width: list[dict[int, int]] = [{} for _ in lines]
    for column in range(max(map(len, lines), default=1) - 1):
        for block in _blocks(lines, column):
            widest = max(len(lines[at][column]) for at in block)
            for at in block:
                width[at][column] = max(NARROWEST, widest + GAP)
    return "".join(
        "".join(word.ljust(width[at].get(column, 0)) for column, word in enumerate(line)) + "\n"
        for at, line in enumerate(lines)
    )


def _blocks(lines: Sequence[Sequence[str]], column: int) -> Iterator[list[int]]:
    """Yield the numbers of lines that follow each other and have a word behind this column."""
    block: list[int] = []
    for at, line in enumerate(lines):
        if len(line) > column + 1:
            block.append(at)
        elif block:
            yield block
            block = []
    if block:
        yield block
