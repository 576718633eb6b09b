"""Events as `plumb events` prints them: as text, as JSON, by a template."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from plumb.views.template import Format
from plumb.views.template.rows import HTML, Row

FIELDS = {
    "Status": "status",
    "ID": "id",
    "From": "from",
    "Type": "Type",
    "Action": "Action",
    "Actor": "Actor",
    "Scope": "scope",
    "Time": "time",
    "TimeNano": "timeNano",
}
"""Fields that templates know, and the keys of Docker's JSON."""


class Message(Row):
    """An event for a template."""

    def __init__(self, event: dict[str, Any]) -> None:
        columns = {field: event.get(key, "") for field, key in FIELDS.items()}
        super().__init__(columns, event["Actor"]["Attributes"], "events.Message")
        self._event = event

    def document(self) -> str:
        """The event as JSON, which a template prints as it is."""
        return as_json(self._event)


def as_json(event: dict[str, Any]) -> str:
    """An event as one line of JSON, with <, > and & escaped as Docker does."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return "".join(HTML.get(letter, letter) for letter in text)


def as_text(event: dict[str, Any]) -> str:
    """An event as Docker's line: time, type, action, id, attributes in the order of their names.

    What cannot be printed, as newlines and terminal escapes of a command's arguments, is escaped.
    """
    seconds, rest = divmod(event["timeNano"], 10**9)
    local = datetime.fromtimestamp(seconds).astimezone()
    zone = local.strftime("%z")
    at = f"{local:%Y-%m-%dT%H:%M:%S}.{rest:09}{zone[:3]}:{zone[3:5]}"
    attributes = ", ".join(
        f"{key}={value}" for key, value in sorted(event["Actor"]["Attributes"].items())
    )
    line = f"{at} {event['Type']} {event['Action']} {event['Actor']['ID']}"
    line = f"{line} ({attributes})" if attributes else line
    return line if line.isprintable() else "".join(map(_printable, line))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def writer(template: str) -> Callable[[dict[str, Any]], str]:
    """Choose the form of events.

    Args:
        template: a Go template, "json", or empty for text.

    Raises:
        Refused: it cannot be parsed.
    """
    if not template:
        return as_text
    if template == "json":
        return as_json
    form = Format(template)
    return lambda event: form.text(Message(event))
