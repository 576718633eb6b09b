"""Go templates: a table of what Go itself printed, and what Docker makes of it.

template_table/recorded.jsonl was recorded by template_table/record.go with Go 1.19.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.views.inspect.field_types import FIELDS
from plumb.views.template import Format, Refused, Stopped
from plumb.views.template.shapes import typed
from tests.views.template_table import table

DOCUMENTS = table.documents()
CONTAINER: dict[str, Any] = {
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "ExitCode": 0},
    "HostConfig": {"Dns": ["192.0.2.1"], "CapAdd": None},
    "Config": {"Labels": {"b": "2", "a": "1"}, "Env": ["A=1", "B=2"]},
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
        "Networks": {"front": {"IPAddress": "172.20.0.2", "IPAMConfig": None}},
    },
}


def inspected(template: str) -> str:
    """A container's document by a template, as `inspect` prints it."""
    return Format(template).document(typed(CONTAINER, "*types.Document", FIELDS), CONTAINER)


@pytest.mark.parametrize("entry", list(table.entries()), ids=lambda entry: entry.template[:60])
def test_as_go_prints_it(entry: table.Entry) -> None:
    """Text and errors, positions in them too."""
    assert table.ours(entry, DOCUMENTS[entry.document]) == (entry.out, entry.error)


def test_the_table_is_large() -> None:
    """All actions and functions on maps, on structs and on the lines of a listing."""
    entries = list(table.entries())
    assert len(entries) >= 450
    assert {entry.document for entry in entries} == set(DOCUMENTS)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range $p, $c := .NetworkSettings.Ports}}{{$p}}{{end}}", "443/tcp80/tcp"),
        ('{{with index .NetworkSettings.Networks "x"}}{{.IPAddress}}{{else}}none{{end}}', "none"),
        ("{{.NetworkSettings.Networks.front.IPAMConfig}} {{.HostConfig.CapAdd}}", "<nil> []"),
        ('{{printf "%s %d" .Name .State.ExitCode}} {{eq .State.ExitCode 0}}', "/web 0 true"),
        ('{{join .Config.Env ","}} {{json .Config.Labels}}', 'A=1,B=2 {"a":"1","b":"2"}'),
        ("{{.Config.Labels.nosuch}}", "<no value>"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
    ],
)  # fmt: skip
def test_inspect_goes_by_types(template: str, text: str) -> None:
    """Numbers are numbers, and nils have the types of Docker's fields."""
    assert inspected(template) == text


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{.Nosuch}}", '<.Nosuch>: map has no entry for key "Nosuch"'),
        (
            '{{join .HostConfig.Dns ","}}',
            "<.HostConfig.Dns>: wrong type for value; expected []string; got []interface {}",
        ),
    ],
)
def test_inspect_falls_back_on_the_plain_document(template: str, error: str) -> None:
    """A template that does not fit Docker's types is tried on maps, of which the error speaks."""
    with pytest.raises(Stopped, match="template: :1:") as stopped:
        inspected(template)
    assert str(stopped.value).endswith(error)


def test_what_later_versions_of_go_have() -> None:
    """Docker is built with a later Go than the table."""
    assert inspected("{{with .Config.Labels.c}}{{else with .Name}}{{.}}{{end}}") == "/web"
    assert inspected("{{range 3}}{{.}}{{end}}{{range $i := 2}}{{$i}}{{end}}") == "01201"


def test_a_template_that_calls_itself_ends() -> None:
    """With an error, not with Python's."""
    with pytest.raises(Stopped, match="exceeded maximum template depth"):
        inspected('{{define "a"}}{{template "a"}}{{end}}{{template "a"}}')
    with pytest.raises((Refused, Stopped)):
        inspected("{{" + "(" * 2 * sys.getrecursionlimit() + "1}}")


@given(st.text(st.characters(exclude_characters="{}", codec="utf-8")))
def test_text_without_actions_stays(text: str) -> None:
    """Text without actions is printed unchanged."""
    assert inspected(text) == text
