"""Listings: columns for people, one object a line for programs."""

from __future__ import annotations

import json

from plumb.views.tables import listing, table

COLUMNS = {"ID": "NETWORK ID", "Name": "NAME"}
ROWS = [
    {"ID": "0123", "Name": "bridge", "Labels": ""},
    {"ID": "4567", "Name": "a-longer-name", "Labels": "a=b"},
]


def test_a_table() -> None:
    """Each column as wide as its widest word, three blanks apart, nothing behind the last."""
    assert (
        listing(ROWS, COLUMNS)
        == "NETWORK ID   NAME\n0123         bridge\n4567         a-longer-name\n"
    )
    assert listing(ROWS, COLUMNS, "table") == listing(ROWS, COLUMNS)


def test_a_table_of_nothing_has_a_heading() -> None:
    """As Docker's."""
    assert listing([], COLUMNS) == "NETWORK ID   NAME\n"


def test_a_line_for_each_row() -> None:
    """A template without a heading."""
    assert listing(ROWS, COLUMNS, "{{.Name}}:{{.ID}}") == "bridge:0123\na-longer-name:4567\n"
    assert listing([], COLUMNS, "{{.Name}}") == ""


def test_a_table_of_one_s_own() -> None:
    """Headings are the columns', or the field's name in capitals."""
    assert (
        listing(ROWS, COLUMNS, r"table {{.Name}}\t{{.Labels}}")
        == "NAME            LABELS\nbridge\na-longer-name   a=b\n"
    )


def test_json_is_an_object_a_line() -> None:
    """All fields of each."""
    assert [json.loads(line) for line in listing(ROWS, COLUMNS, "json").splitlines()] == ROWS
    assert listing([], COLUMNS, "json") == ""


def test_lines_of_different_lengths() -> None:
    """Short ones are short."""
    assert table([["a"], ["bb", "c"]]) == "a\nbb   c\n"
    assert table([]) == ""
