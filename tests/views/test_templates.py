"""Go templates, as far as --format needs them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.errors import Invalid
from plumb.views.templates import render

BOX: dict[str, Any] = {
    "Name": "/web",
    "Up": True,
    "Pid": 7,
    "Nothing": None,
    "List": ["a", "b"],
    "Empty": [],
    "Labels": {"k": "v", "a": "b"},
    "Net": {"Networks": {"shop": {"IP": "10.9.0.2"}, "bridge": {"IP": "172.17.0.2"}}},
    "Config": [{"Subnet": "10.9.0.0/24"}],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{ .Name }}", "/web"),
        ("a{{.Pid}}b{{.Pid}}c", "a7b7c"),
        ("{{.Up}}", "true"),
        ("{{.Nothing}}", "<no value>"),
        ("{{.List}}", "[a b]"),
        ("{{.Labels}}", "map[a:b k:v]"),
        ("{{.Labels.k}}", "v"),
        (r"{{.Name}}\t{{.Pid}}\n", "/web\t7\n"),
        ("{{json .List}}", '["a", "b"]'),
        ("{{json .}}", None),
        ("{{len .List}}", "2"),
        ("{{len .Name}}", "4"),
        ('{{index .Labels "k"}}', "v"),
        ("{{index .List 1}}", "b"),
        ('{{index .Net.Networks "shop" "IP"}}', "10.9.0.2"),
        ('{{join .List ", "}}', "a, b"),
        ("{{println .Pid .Up}}", "7 true\n"),
        ("{{range .List}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range .Empty}}x{{end}}", ""),
        ("{{range .Net.Networks}}{{.IP}} {{end}}", "10.9.0.2 172.17.0.2 "),
        ("{{range .Config}}{{.Subnet}}{{end}}", "10.9.0.0/24"),
        ("{{if .Up}}up{{end}}", "up"),
        ("{{if .Nothing}}up{{end}}", ""),
        ("{{with .Net}}{{range .Networks}}{{.IP}};{{end}}{{end}}", "10.9.0.2;172.17.0.2;"),
        ("{{range .List}}{{if .}}x{{end}}{{end}}!", "xx!"),
    ],
)
def test_what_is_understood(template: str, text: str | None) -> None:
    """Fields, functions, blocks."""
    found = render(template, BOX)
    assert text is None or found == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{", "unclosed action"),
        ("}}", "unclosed action"),
        ("{{.Name", "unclosed action"),
        ("{{.Nmae}}", "there is no field .Nmae"),
        ("{{.Name.First}}", "there is no field"),
        ("{{}}", "missing value"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{range .List}}", "{{end}} is missing"),
        ("{{if .Up}}{{if .Up}}{{end}}", "{{end}} is missing"),
        ("{{upper .Name}}", "function 'upper' not defined"),
        ("{{json}}", "function 'json' not defined"),
        ("{{Name}}", "function 'Name' not defined"),
    ],
)
def test_what_is_not(template: str, message: str) -> None:
    """The whole template is refused."""
    with pytest.raises(Invalid, match=message):
        render(template, BOX)


@pytest.mark.parametrize(
    "template",
    [
        "{{len .Up}}",
        "{{len .Nothing}}",
        "{{index .List 9}}",
        '{{index .List "x"}}',
        "{{index .Pid 1}}",
        '{{json "\\x"}}',
    ],
)
def test_functions_of_what_does_not_fit(template: str) -> None:
    """A function of a wrong argument is a mistake of the template."""
    with pytest.raises(Invalid):
        render(template, BOX)


def test_a_key_that_there_is_not() -> None:
    """Go prints the empty text for a missing key of a map, as Docker does for a missing label."""
    assert render('{{index .Labels "nosuch"}}', BOX) == ""


@given(st.text(st.characters(exclude_characters="{}\\")))
def test_text_without_actions_stays(text: str) -> None:
    """Text without actions is printed unchanged."""
    assert render(text, BOX) == text
