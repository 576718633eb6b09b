"""Listings: columns for people, one object a line for programs."""

from __future__ import annotations

import json

import pytest

from plumb.errors import Invalid
from plumb.views.tables import Line, listing, table

COLUMNS = {"ID": "NETWORK ID", "Name": "NAME"}
ROWS = [
    Line({"ID": "0123", "Name": "bridge", "Labels": "", "CreatedAt": "now"}),
    Line({"ID": "4567", "Name": "a-longer-name", "Labels": "a=b", "CreatedAt": "now"}, {"a": "b"}),
]


def test_a_table() -> None:
    """Each column is ten wide at least, with a gap of three behind its widest word."""
    assert (
        listing(ROWS, COLUMNS)
        == "NETWORK ID   NAME\n0123         bridge\n4567         a-longer-name\n"
    )
    assert listing(ROWS, COLUMNS, "table") == listing(ROWS, COLUMNS)
    assert table([["a", "b"], ["c", ""]]) == "a         b\nc         \n"


def test_a_table_of_some_columns() -> None:
    """Those that are shown without a template."""
    assert listing(ROWS, COLUMNS, "", ["Name"]) == "NAME\nbridge\na-longer-name\n"


def test_a_table_of_nothing_has_a_heading() -> None:
    """As Docker's."""
    assert listing([], COLUMNS) == "NETWORK ID   NAME\n"
    assert listing([], COLUMNS, "table {{.Name}}\\t{{upper .ID}}") == "NAME      NETWORK ID\n"


def test_a_line_for_each_row() -> None:
    """A template without a heading."""
    assert listing(ROWS, COLUMNS, "{{.Name}}:{{.ID}}") == "bridge:0123\na-longer-name:4567\n"
    assert listing([], COLUMNS, "{{.Name}}") == ""
    assert listing(ROWS[:1], COLUMNS, r"{{.Name}}\t{{.ID}}\n") == "bridge\t0123\n\n"


def test_a_table_of_one_s_own() -> None:
    """Headings are the columns', or the field's name in capitals; a label's is its last word."""
    assert (
        listing(ROWS, COLUMNS, r"table {{.Name}}\t{{.Labels}}\t{{.CreatedAt}}")
        == "NAME            LABELS    CREATED AT\nbridge                    now\n"
        "a-longer-name   a=b       now\n"
    )
    assert listing(ROWS[1:], COLUMNS, 'table {{.Label "com.x-y"}}') == "x y\n\n"


def test_labels_by_name() -> None:
    """Docker's .Label."""
    assert listing(ROWS, COLUMNS, '{{.Label "a"}}') == "\nb\n"


def test_json_is_an_object_a_line() -> None:
    """All fields of each, in the order of their names, without blanks."""
    found = listing(ROWS, COLUMNS, "json").splitlines()
    assert [json.loads(line) for line in found] == ROWS
    assert found[0] == '{"CreatedAt":"now","ID":"0123","Labels":"","Name":"bridge"}'
    assert listing(ROWS, COLUMNS, "{{json .}}") == listing(ROWS, COLUMNS, "json")
    assert listing([], COLUMNS, "json") == ""


AT_NOSUCH = 'template: :1:2: executing "" at <.Nosuch>'
NO_FIELD = "can't evaluate field Nosuch in type *formatter.SubContext"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{", "failed to parse template: template: :1: unclosed action"),
        ("{{.Nosuch}}", f"failed to execute template: {AT_NOSUCH}: {NO_FIELD}"),
    ],
)
def test_errors_in_docker_s_words(template: str, message: str) -> None:
    """With the place in the template."""
    with pytest.raises(Invalid) as error:
        listing(ROWS, COLUMNS, template)
    assert str(error.value) == message


def test_lines_of_different_lengths() -> None:
    """Short ones are short, and end the columns that they do not reach."""
    assert table([["a"], ["bb", "c"]]) == "a\nbb        c\n"
    assert table([["a", "b"], ["x"], ["longer-word", "c"]]) == "a         b\nx\nlonger-word   c\n"
    assert table([]) == ""
