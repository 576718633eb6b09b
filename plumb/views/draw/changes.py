"""Changes between two pictures: a line for each, marked as a diff does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from plumb.draw.difference import Change, Sign
from plumb.draw.picture import Box, Interface
from plumb.foreign.fields import printable
from plumb.views.draw import words

COLOURS = {Sign.ADDED: "green", Sign.GONE: "red", Sign.CHANGED: "yellow"}


def lines(changes: Iterable[Change]) -> Iterator[tuple[Sign, str]]:
    """Yield each change's sign and words."""
    for change in changes:
        fields = "; ".join(
            f"{name} {printable(before) or 'none'} → {printable(now) or 'none'}"
            for name, before, now in change.fields
        )
        yield change.sign, f"{change.sign} {_subject(change)}{f': {fields}' * bool(fields)}"


def _subject(change: Change) -> str:
    part = change.part
    if isinstance(part, Box):
        return f"namespace {words.box(part)}"
    if isinstance(part, Interface):
        where = words.end(change.end) if change.end else printable(part.name)
        more = [] if change.sign is Sign.CHANGED else words.interface(part)[1:]
        return "  ".join([f"link {where}", *more])
    label = f" {printable(part.label)}" if part.label else ""
    return f"{part.kind} {words.end(part.one)} → {words.end(part.other)}{label}"


def document(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "Sign": change.sign,
            "Subject": _subject(change),
            "Fields": [
                {"Name": name, "Before": before, "Now": now} for name, before, now in change.fields
            ],
        }
        for change in changes
    ]
