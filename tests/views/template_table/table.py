"""The recorded table: templates with what Go printed for them, or its error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from plumb.views.template import Format, Refused, Stopped
from plumb.views.template.docker import FUNCTIONS
from plumb.views.template.execute import execute
from plumb.views.template.rows import Row
from plumb.views.template.shapes import typed
from plumb.views.template.values import generic

HERE = Path(__file__).parent
FIELDS = {
    "State": "*main.State",
    "Health": "*main.Health",
    "Config": "*main.Config",
    "NetworkSettings": "main.Settings",
    "Labels": "map[string]string",
    "ExposedPorts": "map[main.Port]struct {}",
    "Ports": "map[main.Port][]main.Binding",
    "Networks": "map[string]*main.Endpoint",
    "IPAMConfig": "*main.IPAM",
    "Mounts": "[]main.Binding",
    "Options": "map[string]string",
}


class Entry(NamedTuple):
    """A template, the name of its document, and what Go made of it."""

    document: str
    template: str
    out: str
    error: str = ""


def entries() -> Iterator[Entry]:
    """The table's entries."""
    for line in (HERE / "recorded.jsonl").read_text().splitlines():
        yield Entry(**json.loads(line))


def documents() -> dict[str, Any]:
    """The documents by name, as Go had them: plain maps, structs, and a listing's line."""
    found = json.loads((HERE / "documents.json").read_text())
    return {
        "plain": generic(found["plain"]),
        "typed": typed(found["typed"], "*main.Container", FIELDS),
        "row": Row(found["row"], {"role": "web"}, "*main.Row"),
    }


def ours(entry: Entry, document: Any) -> tuple[str, str]:
    """What plumb prints, and its error."""
    try:
        template = Format(entry.template).template
        return execute(template, FUNCTIONS, document, strict=entry.document == "plain"), ""
    except (Refused, Stopped) as error:
        return "", str(error)
